import type { Range } from '../blockdev/block-device.ts';
import { MIB, roundUp } from '../core/sizes.ts';
import { countShared } from './data-map.ts';
import type { DataMap } from './data-map.ts';
import { readBytes, writeBytes } from './drive-bytes.ts';
import type { ImagedDrive } from './drive-bytes.ts';
import type { EngineHooks } from './engine-hooks.ts';
import { dataRuns } from './zero-blocks.ts';

/** Data that one task of a copy moves: large enough to be worth a message, small enough to share out among threads. */
const TASK_DATA_BYTES = 32 * MIB;
/** Tasks are planned this many at a time, or fewer when they have more stretches than these. */
const PLAN_TASKS = 64;
const PLAN_STRETCHES = 16_384;

/** A range of the drive for one thread to copy. */
export interface CopyTask {
  readonly range: Range;
  /** Where it may hold data. */
  readonly stretches: readonly Range[];
  /** The data that the target has no space for yet, at most. */
  readonly newBytes: number;
}

/**
 * Plans the next tasks of a copy from an offset to the end. Tasks are adjacent and take the holes between them along;
 * there is nothing left when `nextOffsetBytes` is the size of the drive.
 *
 * @param target null when it was emptied: room is asked for all
 */
export async function planTasks(
  { source, target }: { source: DataMap; target: DataMap | null },
  fromBytes: number,
): Promise<{ tasks: readonly CopyTask[]; nextOffsetBytes: number }> {
  const tasks: CopyTask[] = [];
  const end = source.drive.sizeBytes;
  let start = fromBytes;
  let stretches: Range[] = [];
  let dataBytes = 0;
  let stretchCount = 0;
  const endTask = async (offsetBytes: number): Promise<void> => {
    const heldBytes = target === null ? 0 : await countShared(stretches, target);
    const range = { offsetBytes: start, lengthBytes: offsetBytes - start };
    tasks.push({ range, stretches, newBytes: dataBytes - heldBytes });
    start = offsetBytes;
    stretches = [];
    dataBytes = 0;
  };
  for await (const stretch of source.stretches({ offsetBytes: fromBytes, lengthBytes: end - fromBytes })) {
    const stretchEnd = stretch.offsetBytes + stretch.lengthBytes;
    let at = stretch.offsetBytes;
    while (at < stretchEnd) {
      const part = Math.min(stretchEnd - at, TASK_DATA_BYTES - dataBytes);
      stretches.push({ offsetBytes: at, lengthBytes: part });
      stretchCount += 1;
      at += part;
      dataBytes += part;
      if (dataBytes === TASK_DATA_BYTES) await endTask(at);
      const isEnough = tasks.length === PLAN_TASKS || stretchCount >= PLAN_STRETCHES;
      if (dataBytes === 0 && isEnough) return { tasks, nextOffsetBytes: start };
    }
  }
  if (dataBytes > 0) await endTask(end);
  return { tasks, nextOffsetBytes: end };
}

/** What one call copies, and between which drives. */
export interface CopiedStretches {
  readonly source: ImagedDrive;
  readonly target: ImagedDrive;
  /** Whether the target holds nothing but some of these very bytes. */
  readonly isEmptied: boolean;
  readonly stretches: readonly Range[];
}

/**
 * Copies stretches between drives. Zeros are not written; a target that was not emptied is made to read as zeros there.
 *
 * @param buffer for one piece, at best within the memory of the cipher
 */
export async function copyStretches(
  { source, target, isEmptied, stretches }: CopiedStretches,
  buffer: Buffer,
  hooks: EngineHooks,
): Promise<void> {
  for (const stretch of stretches) {
    const end = stretch.offsetBytes + stretch.lengthBytes;
    for (let at = stretch.offsetBytes; at < end; at += buffer.length) {
      hooks.checkRunning();
      const lengthBytes = Math.min(buffer.length, end - at);
      const bytes = await readBytes(source, at, { buffer, lengthBytes });
      let writtenBytes = 0;
      for (const run of dataRuns(bytes)) {
        if (!isEmptied) await zeroBytes(target, at + writtenBytes, run.offsetBytes - writtenBytes);
        const part = buffer.subarray(run.offsetBytes);
        await writeBytes(target, at + run.offsetBytes, { buffer: part, lengthBytes: run.lengthBytes });
        writtenBytes = run.offsetBytes + run.lengthBytes;
      }
      if (!isEmptied) await zeroBytes(target, at + writtenBytes, lengthBytes - writtenBytes);
      hooks.addDone(lengthBytes);
    }
  }
}

/** Makes bytes from a block's border on read as zeros, and the rest of the last block with them. */
async function zeroBytes({ device }: ImagedDrive, offsetBytes: number, lengthBytes: number): Promise<void> {
  if (lengthBytes === 0) return;
  await device.zero({ offsetBytes, lengthBytes: roundUp(lengthBytes, device.blockSize) });
}
