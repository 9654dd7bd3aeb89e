import type { Range } from '../blockdev/block-device.ts';
import { MIB } from '../core/sizes.ts';
import { dataStretches, readBytes, writeBytes } from './drive-bytes.ts';
import type { ImagedDrive } from './drive-bytes.ts';
import type { EngineHooks } from './engine-hooks.ts';
import { dataRuns } from './zero-blocks.ts';

/** Data that one task of a copy moves: large enough to be worth a message, small enough to share out among threads. */
const TASK_DATA_BYTES = 32 * MIB;
/** Tasks are planned this many at a time. */
const PLAN_TASKS = 64;

/** A stretch of the drive for one thread to copy, and how much data it holds. */
export interface CopyTask {
  readonly range: Range;
  readonly dataBytes: number;
}

/**
 * Plans the next tasks of a copy from an offset to the end. Tasks are adjacent and take the holes between them along;
 * there is nothing left when `nextOffsetBytes` is the size of the drive.
 */
export async function planTasks(
  source: ImagedDrive,
  fromBytes: number,
): Promise<{ tasks: readonly CopyTask[]; nextOffsetBytes: number }> {
  const tasks: CopyTask[] = [];
  let start = fromBytes;
  let dataBytes = 0;
  const end = source.sizeBytes;
  const endTask = (offsetBytes: number): void => {
    tasks.push({ range: { offsetBytes: start, lengthBytes: offsetBytes - start }, dataBytes });
    start = offsetBytes;
    dataBytes = 0;
  };
  for await (const stretch of dataStretches(source, {
    offsetBytes: fromBytes,
    lengthBytes: end - fromBytes,
  })) {
    const stretchEnd = stretch.offsetBytes + stretch.lengthBytes;
    let at = stretch.offsetBytes;
    while (at < stretchEnd) {
      const part = Math.min(stretchEnd - at, TASK_DATA_BYTES - dataBytes);
      at += part;
      dataBytes += part;
      if (dataBytes === TASK_DATA_BYTES) endTask(at);
      if (tasks.length === PLAN_TASKS) return { tasks, nextOffsetBytes: start };
    }
  }
  if (dataBytes > 0) endTask(end);
  return { tasks, nextOffsetBytes: end };
}

/**
 * Copies a range between drives; the target reads as zeros there, or already holds some of these very bytes. Holes are
 * not read and zeros are not written.
 *
 * @param buffer for one piece, at best within the memory of the cipher
 */
export async function copyRange(
  {
    source,
    target,
    range,
    buffer,
  }: { source: ImagedDrive; target: ImagedDrive; range: Range; buffer: Buffer },
  hooks: EngineHooks,
): Promise<void> {
  for await (const stretch of dataStretches(source, range)) {
    const end = stretch.offsetBytes + stretch.lengthBytes;
    for (let at = stretch.offsetBytes; at < end; at += buffer.length) {
      hooks.checkRunning();
      const lengthBytes = Math.min(buffer.length, end - at);
      const bytes = await readBytes(source, at, { buffer, lengthBytes });
      for (const run of dataRuns(bytes)) {
        const part = buffer.subarray(run.offsetBytes);
        await writeBytes(target, at + run.offsetBytes, { buffer: part, lengthBytes: run.lengthBytes });
      }
      hooks.addDone(lengthBytes);
    }
  }
}
