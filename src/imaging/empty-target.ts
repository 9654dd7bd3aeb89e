import type { Range } from '../blockdev/block-device.ts';
import { GIB, roundUp } from '../core/sizes.ts';
import type { DataMap } from './data-map.ts';
import type { ImagedDrive } from './drive-bytes.ts';
import type { EngineHooks } from './engine-hooks.ts';

/** The target is emptied in steps, so that a job can be stopped meanwhile where that means writing. */
const EMPTY_STEP_BYTES = 64 * GIB;

/** Makes the whole target read as zeros, durably. */
export async function emptyTarget({ device }: ImagedDrive, hooks: EngineHooks): Promise<void> {
  for (let offsetBytes = 0; offsetBytes < device.sizeBytes; offsetBytes += EMPTY_STEP_BYTES) {
    hooks.checkRunning();
    await device.zero({
      offsetBytes,
      lengthBytes: Math.min(EMPTY_STEP_BYTES, device.sizeBytes - offsetBytes),
    });
  }
  await device.flush();
}

/**
 * Makes the target read as zeros, durably, wherever the source has no data. What it holds where the source has some is left for
 * the copy to write over: to give blocks back and to ask for them anew costs as much as the copy.
 *
 * @returns whether nothing was left
 */
export async function emptyAroundData(
  { source, target }: { source: DataMap; target: DataMap },
  hooks: EngineHooks,
): Promise<boolean> {
  const { device } = target.drive;
  const { blockSize } = device;
  const whole = { offsetBytes: 0, lengthBytes: source.drive.sizeBytes };
  const data = source.stretches(whole)[Symbol.asyncIterator]();
  let next = await data.next();
  let isEmpty = true;
  for await (const held of target.stretches({ offsetBytes: 0, lengthBytes: device.sizeBytes })) {
    const end = held.offsetBytes + held.lengthBytes;
    for (let at = held.offsetBytes; at < end;) {
      while (next.done !== true && endOfBlocks(next.value, blockSize) <= at) next = await data.next();
      const [start, stop] =
        next.done === true ? [end, end] : [next.value.offsetBytes, endOfBlocks(next.value, blockSize)];
      if (at < start) {
        hooks.checkRunning();
        await device.zero({ offsetBytes: at, lengthBytes: Math.min(start, end) - at });
      }
      if (start < end) isEmpty = false;
      at = Math.min(stop, end);
    }
  }
  await device.flush();
  return isEmpty;
}

/** Where the last block ends that the range lies in: a copy writes all of it. */
function endOfBlocks({ offsetBytes, lengthBytes }: Range, blockSize: number): number {
  return roundUp(offsetBytes + lengthBytes, blockSize);
}
