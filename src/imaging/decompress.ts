import { constants, createGunzip, createZstdDecompress } from 'node:zlib';
import type { Gunzip, ZstdDecompress } from 'node:zlib';
import { roundDown } from '../core/sizes.ts';
import { garbageBehind, notAStream, startsWithMagic, streamFailure } from './stream-failure.ts';
import type { Unpacking } from './stream-failure.ts';
import { dataStretches, GRAIN_BYTES, readBytes } from './drive-bytes.ts';
import type { ImagedDrive } from './drive-bytes.ts';
import type { EngineHooks } from './engine-hooks.ts';
import { createTargetWriter } from './target-writer.ts';
import { isZero } from './zero-blocks.ts';

/** Output comes in chunks of this size, of which this many bytes may be ready before they are taken. */
const CHUNK_BYTES = 256 * 1024;
const READY_BYTES = 4 * CHUNK_BYTES;
/**
 * Zeros fed to a stream that has not ended where the drive's data has: a stream's own last zeros may have become a
 * hole, but no more than one stored block of them.
 */
const LAST_ZEROS_BYTES = CHUNK_BYTES;

export interface Decompression {
  readonly source: ImagedDrive;
  readonly target: ImagedDrive;
  readonly unpacking: Unpacking;
  /** For one piece of output. */
  readonly buffer: Buffer;
  /** For two pieces of input, one of which is read while the other is worked on. */
  readonly inputs: readonly [Buffer, Buffer];
}

/**
 * Unpacks the gzip stream (RFC 1952, many members) or the zstd stream (RFC 8878, many frames) that the source begins
 * with into the beginning of the target, which reads as zeros. Only zeros may follow the stream. Inflating is done in a
 * thread of libuv while this one writes.
 *
 * @throws DriveError usage when the stream is not one, is damaged or incomplete, or does not fit
 */
export async function decompress(decompression: Decompression, hooks: EngineHooks): Promise<void> {
  const { source, target, unpacking, buffer, inputs } = decompression;
  const misfit = `What drive ${source.driveId} unpacks to does not fit into the ${target.sizeBytes} bytes of drive ${target.driveId}.`;
  const writer = createTargetWriter({ target, buffer, misfit }, hooks);
  await checkBeginning(decompression);
  const stream = createStream(unpacking);
  const fed: Fed = { dataEndBytes: Infinity };
  const feeding = feed(decompression, { stream, fed }, hooks).catch((error: unknown) => {
    stream.destroy(error instanceof Error ? error : new Error(String(error)));
  });
  try {
    for await (const chunk of stream) await writer.append(chunk as Buffer);
    await feeding;
    await writer.finish();
    await checkRest(source, { fromBytes: stream.bytesWritten, buffer: inputs[0], unpacking });
  } catch (error) {
    stream.destroy();
    await feeding;
    const isPastData = stream.bytesWritten > fed.dataEndBytes;
    throw streamFailure(error, { driveId: source.driveId, unpacking, isPastData });
  }
}

/** Where the source's data ends, once that is known. */
interface Fed {
  dataEndBytes: number;
}

function createStream(unpacking: Unpacking): Gunzip | ZstdDecompress {
  const options = { chunkSize: CHUNK_BYTES, readableHighWaterMark: READY_BYTES };
  if (unpacking === 'gunzip') return createGunzip(options);
  return createZstdDecompress({ ...options, params: { [constants.ZSTD_d_windowLogMax]: 27 } });
}

async function checkBeginning({ source, unpacking, inputs }: Decompression): Promise<void> {
  const lengthBytes = Math.min(GRAIN_BYTES, source.sizeBytes);
  const beginning = await readBytes(source, 0, { buffer: inputs[0], lengthBytes });
  if (startsWithMagic(beginning, unpacking)) return;
  throw notAStream(source.driveId, unpacking);
}

/** Gives the source's bytes to the stream until it has ended, or until the source has nothing more but zeros. */
async function feed(
  { source, inputs }: Decompression,
  { stream, fed }: { stream: Gunzip | ZstdDecompress; fed: Fed },
  hooks: EngineHooks,
): Promise<void> {
  let fedBytes = 0;
  let turn = 0;
  let worked: Promise<boolean> = Promise.resolve(true);

  /** Hands over a piece once the one before has been worked on; false when the stream wants no more. */
  async function give(bytes: Buffer): Promise<boolean> {
    const isOpen = await worked;
    if (isOpen) worked = written(stream, bytes);
    return isOpen;
  }

  async function giveZeros(untilBytes: number): Promise<boolean> {
    const zeros = Buffer.alloc(Math.min(CHUNK_BYTES, untilBytes - fedBytes));
    while (fedBytes < untilBytes) {
      hooks.checkRunning();
      const part = zeros.subarray(0, untilBytes - fedBytes);
      if (!(await give(part))) return false;
      fedBytes += part.length;
    }
    return true;
  }

  for await (const stretch of dataStretches(source, { offsetBytes: 0, lengthBytes: source.sizeBytes })) {
    if (!(await giveZeros(stretch.offsetBytes))) return;
    const end = stretch.offsetBytes + stretch.lengthBytes;
    while (fedBytes < end) {
      hooks.checkRunning();
      const input = inputs[turn % 2] ?? inputs[0];
      turn += 1;
      const lengthBytes = Math.min(input.length, end - fedBytes);
      const bytes = await readBytes(source, fedBytes, { buffer: input, lengthBytes });
      if (!(await give(bytes))) return;
      fedBytes += lengthBytes;
      hooks.addDone(lengthBytes);
    }
  }
  fed.dataEndBytes = fedBytes;
  if (!(await giveZeros(Math.min(source.sizeBytes, fedBytes + LAST_ZEROS_BYTES)))) return;
  if (await worked) stream.end();
}

/** Resolves when the bytes have been worked on: true when the stream takes more, false when it has ended or failed. */
function written(stream: Gunzip | ZstdDecompress, bytes: Buffer): Promise<boolean> {
  return new Promise((resolve) => {
    const settle = (isOpen: boolean): void => {
      stream.off('end', ended);
      stream.off('close', ended);
      resolve(isOpen);
    };
    const ended = (): void => settle(false);
    stream.on('end', ended);
    stream.on('close', ended);
    if (stream.destroyed || stream.readableEnded) settle(false);
    else stream.write(bytes, (error) => settle(error === null || error === undefined));
  });
}

/** Holds the source to zeros behind the end of the stream. */
async function checkRest(
  source: ImagedDrive,
  { fromBytes, buffer, unpacking }: { fromBytes: number; buffer: Buffer; unpacking: Unpacking },
): Promise<void> {
  const start = roundDown(fromBytes, GRAIN_BYTES);
  if (start >= source.sizeBytes) return;
  const range = { offsetBytes: start, lengthBytes: source.sizeBytes - start };
  for await (const stretch of dataStretches(source, range)) {
    const end = stretch.offsetBytes + stretch.lengthBytes;
    for (let at = stretch.offsetBytes; at < end; at += buffer.length) {
      const lengthBytes = Math.min(buffer.length, end - at);
      const bytes = await readBytes(source, at, { buffer, lengthBytes });
      if (isZero(bytes, Math.min(lengthBytes, Math.max(0, fromBytes - at)))) continue;
      throw garbageBehind(source.driveId, unpacking);
    }
  }
}
