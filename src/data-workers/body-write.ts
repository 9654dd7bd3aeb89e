import { timingSafeEqual } from 'node:crypto';
import { gunzipSync } from 'node:zlib';
import type { BlockDevice, Range } from '../blockdev/block-device.ts';
import { writeInPlace } from '../blockdev/layers/in-place-write.ts';
import type { Volume } from '../blockdev/volume.ts';
import type { DigestAlgorithm } from '../core/body-digest.ts';
import { DriveError } from '../core/errors.ts';
import { MIB } from '../core/sizes.ts';
import { gmacOf } from '../runtime/gmac.ts';
import type { WriteTask } from './protocol.ts';
import { sha256Of } from './sha256.ts';

/** The most that one write may hold after decompression. */
export const MAX_WRITE_BYTES = 64 * MIB;

/**
 * Writes a whole body, or nothing of it: everything that can be wrong with it is found before the first byte is
 * written, and its space is claimed, so that a full disk refuses it as a whole too. It is not yet durable then. Of the body
 * nothing can be used afterwards.
 *
 * @returns the bytes written, after decompression
 * @throws DriveError usage for a digest that does not match, gzip that is not whole, and data past the end;
 *   too-large when it decompresses to more than `MAX_WRITE_BYTES`; full when there is no room
 */
export async function writeBody(
  volume: Volume,
  { task, body }: { task: WriteTask; body: readonly Uint8Array[] },
): Promise<number> {
  const { sha256, gmac } = task.digest;
  if (sha256 !== null) checkDigest('sha-256', sha256Of(body), sha256);
  if (gmac !== null) checkDigest('aes-128-gmac', gmacOf(body), gmac);
  const data = task.encoding === 'gzip' ? [unpack(body)] : body;
  const lengthBytes = data.reduce((sum, part) => sum + part.byteLength, 0);
  const range = { offsetBytes: task.offsetBytes, lengthBytes };
  checkWithin(volume, range);
  if (lengthBytes === 0) return 0;
  await claimSpace(volume, range, task.isPoolLow);
  let doneBytes = 0;
  for (const part of data) {
    const encryptedBytes = Math.min(Math.max(0, task.encryptedBytes - doneBytes), part.byteLength);
    await writeInPlace(volume, task.offsetBytes + doneBytes, { data: part, encryptedBytes });
    doneBytes += part.byteLength;
  }
  return lengthBytes;
}

/** @throws DriveError usage when the body is not the one that the client has hashed */
export function checkDigest(algorithm: DigestAlgorithm, ofBody: Uint8Array, given: Uint8Array): void {
  if (timingSafeEqual(ofBody, given)) return;
  throw new DriveError('usage', `The body does not have the ${algorithm} that Content-Digest gives.`);
}

function checkWithin(device: BlockDevice, { offsetBytes, lengthBytes }: Range): void {
  if (offsetBytes + lengthBytes <= device.sizeBytes) return;
  throw new DriveError(
    'usage',
    `${lengthBytes} bytes at offset ${offsetBytes} are past the end of the drive, which is ${device.sizeBytes} bytes.`,
  );
}

async function claimSpace(device: BlockDevice, range: Range, isPoolLow: boolean): Promise<void> {
  if (isPoolLow) {
    const extents = await device.extents(range);
    if (extents.every((extent) => extent.kind === 'data')) return;
    throw new DriveError(
      'full',
      'The pool is nearly full: only data that is there already can be overwritten.',
    );
  }
  await device.reserve(range);
}

function unpack(body: readonly Uint8Array[]): Uint8Array {
  const packed = body.length === 1 && body[0] !== undefined ? body[0] : Buffer.concat(body);
  try {
    // With `info` the result also says how much of the input was taken: what follows a gzip stream is no gzip.
    const { buffer, engine } = gunzipSync(packed, {
      maxOutputLength: MAX_WRITE_BYTES,
      info: true,
    }) as unknown as { buffer: Buffer; engine: { bytesWritten: number } };
    if (engine.bytesWritten < packed.byteLength) {
      throw new DriveError('usage', 'The body goes on after the end of its gzip stream.');
    }
    return buffer;
  } catch (error) {
    throw unpackError(error);
  }
}

function unpackError(error: unknown): unknown {
  if (!(error instanceof Error) || !('code' in error) || typeof error.code !== 'string') return error;
  if (error.code === 'ERR_BUFFER_TOO_LARGE') {
    return new DriveError('too-large', `The body is more than ${MAX_WRITE_BYTES} bytes after decompression.`);
  }
  if (error.code === 'Z_BUF_ERROR') return new DriveError('usage', 'The gzip body is truncated.');
  if (error.code.startsWith('Z_'))
    return new DriveError('usage', `The gzip body is corrupt: ${error.message}.`);
  return error;
}
