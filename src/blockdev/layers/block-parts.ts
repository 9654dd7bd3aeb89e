import { roundDown, roundUp } from '../../core/sizes.ts';
import type { BlockDevice, Maybe, Range } from '../block-device.ts';
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

/** What becomes of a block after its change: it is written, or made zero, or left as it is. */
export type BlockChange = 'write' | 'zero' | 'keep';

/** Reads the block that holds the offset, lets it be changed, and writes it. The caller holds the drive's lock alone. */
export function changeBlock(
  device: BlockDevice,
  offsetBytes: number,
  change: (block: Uint8Array, at: number) => BlockChange,
): Maybe<void> {
  const block = new Uint8Array(device.blockSize);
  const blockOffset = roundDown(offsetBytes, device.blockSize);
  return chain(device.read(blockOffset, block), () => {
    switch (change(block, offsetBytes - blockOffset)) {
      case 'keep':
        return undefined;
      case 'zero':
        return device.zero({ offsetBytes: blockOffset, lengthBytes: block.byteLength });
      case 'write':
        return device.write(blockOffset, block);
    }
  });
}

export function isZero(bytes: Uint8Array): boolean {
  return bytes.every((byte) => byte === 0);
}
