import { DriveError } from '../core/errors.ts';
import { MIB } from '../core/sizes.ts';
import { writeBytes } from './drive-bytes.ts';
import type { ImagedDrive } from './drive-bytes.ts';
import type { EngineHooks } from './engine-hooks.ts';
import { dataRuns } from './zero-blocks.ts';

/** Room in the pool is asked for in steps of this size. */
const ADMISSION_BYTES = 64 * MIB;

/** Writes a stream of bytes to a drive that reads as zeros, from its beginning. */
export interface TargetWriter {
  /** Takes the bytes over; afterwards the caller may use their memory anew. Throws DriveError usage when they do not fit. */
  append(bytes: Uint8Array): Promise<void>;
  /** Writes what is still held back. */
  finish(): Promise<void>;
}

/**
 * Gathers bytes into pieces of the buffer's length and writes those; zeros are not written.
 *
 * @param misfit the sentence for a stream that is larger than the target
 */
export function createTargetWriter(
  { target, buffer, misfit }: { target: ImagedDrive; buffer: Buffer; misfit: string },
  hooks: EngineHooks,
): TargetWriter {
  let offsetBytes = 0;
  let heldBytes = 0;
  let admittedBytes = 0;

  async function writeHeld(): Promise<void> {
    for (const run of dataRuns(buffer.subarray(0, heldBytes))) {
      while (admittedBytes < run.lengthBytes) {
        await hooks.admit(ADMISSION_BYTES);
        admittedBytes += ADMISSION_BYTES;
      }
      admittedBytes -= run.lengthBytes;
      hooks.checkRunning();
      const part = buffer.subarray(run.offsetBytes);
      await writeBytes(target, offsetBytes + run.offsetBytes, { buffer: part, lengthBytes: run.lengthBytes });
    }
    offsetBytes += heldBytes;
    heldBytes = 0;
  }

  return {
    async append(bytes) {
      if (offsetBytes + heldBytes + bytes.length > target.sizeBytes) {
        throw new DriveError('usage', misfit, { drive: target.driveId });
      }
      for (let at = 0; at < bytes.length;) {
        const part = bytes.subarray(at, at + buffer.length - heldBytes);
        buffer.set(part, heldBytes);
        at += part.length;
        heldBytes += part.length;
        if (heldBytes === buffer.length) await writeHeld();
      }
    },
    async finish() {
      await writeHeld();
    },
  };
}
