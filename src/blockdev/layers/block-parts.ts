import { roundDown, roundUp } from '../../core/sizes.ts';
import type { BlockChange, BlockDevice, Maybe, Range } from '../block-device.ts';
import { chain } from '../maybe.ts';

/** A part of a range: whole blocks, or bytes within one block. */
export interface Part extends Range {
  readonly isWhole: boolean;
}

/** Splits a range into the end of a block, whole blocks, and the beginning of one; those that there are. */
export function partsOf({ offsetBytes, lengthBytes }: Range, unit: number): readonly Part[] {
  const end = offsetBytes + lengthBytes;
  const headEnd = Math.min(roundUp(offsetBytes, unit), end);
  const tailStart = Math.max(roundDown(end, unit), headEnd);
  const parts = [
    { offsetBytes, lengthBytes: headEnd - offsetBytes, isWhole: false },
    { offsetBytes: headEnd, lengthBytes: tailStart - headEnd, isWhole: true },
    { offsetBytes: tailStart, lengthBytes: end - tailStart, isWhole: false },
  ];
  return parts.filter((part) => part.lengthBytes > 0);
}

/**
 * Reads the block that holds the offset, lets it be changed, and writes it. The caller holds the drive's lock alone; the
 * device itself sees to those who do not know of that lock.
 */
export function changeBlock(
  device: BlockDevice,
  offsetBytes: number,
  change: (block: Uint8Array, at: number) => BlockChange,
): Maybe<void> {
  const blockOffset = roundDown(offsetBytes, device.blockSize);
  const range = { offsetBytes: blockOffset, lengthBytes: device.blockSize };
  if (device.update !== undefined) {
    return device.update(range, (block) => change(block, offsetBytes - blockOffset));
  }
  const block = new Uint8Array(device.blockSize);
  return chain(device.read(blockOffset, block), () => {
    switch (change(block, offsetBytes - blockOffset)) {
      case 'keep':
        return undefined;
      case 'zero':
        return device.zero(range);
      case 'write':
        return device.write(blockOffset, block);
    }
  });
}

export function isZero(bytes: Uint8Array): boolean {
  return bytes.every((byte) => byte === 0);
}
