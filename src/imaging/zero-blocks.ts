import type { Range } from '../blockdev/block-device.ts';

/** The unit in which zeros are found: small enough to save space, large enough to cost nothing. */
export const ZERO_BLOCK_BYTES = 64 * 1024;

const ZEROS = Buffer.alloc(ZERO_BLOCK_BYTES);

/** Whether all bytes from `start` to `end` are zero. */
export function isZero(bytes: Buffer, start = 0, end = bytes.length): boolean {
  for (let at = start; at < end; at += ZERO_BLOCK_BYTES) {
    const stop = Math.min(end, at + ZERO_BLOCK_BYTES);
    if (bytes.compare(ZEROS, 0, stop - at, at, stop) !== 0) return false;
  }
  return true;
}

/** The stretches of the buffer that are not zero, in blocks of `ZERO_BLOCK_BYTES` from its beginning, merged. */
export function dataRuns(bytes: Buffer): Range[] {
  const runs: Range[] = [];
  let start = -1;
  for (let at = 0; at < bytes.length; at += ZERO_BLOCK_BYTES) {
    const isHole = isZero(bytes, at, Math.min(bytes.length, at + ZERO_BLOCK_BYTES));
    if (!isHole && start === -1) start = at;
    if (isHole && start !== -1) {
      runs.push({ offsetBytes: start, lengthBytes: at - start });
      start = -1;
    }
  }
  if (start !== -1) runs.push({ offsetBytes: start, lengthBytes: bytes.length - start });
  return runs;
}
