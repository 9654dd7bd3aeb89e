import { roundDown, roundUp } from '../core/sizes.ts';
import type { BlockDevice, Extent, Range } from './block-device.ts';

/** Throws a RangeError unless the range lies within the device and begins and ends on its blocks. */
export function checkRange(
  { blockSize, sizeBytes }: Pick<BlockDevice, 'blockSize' | 'sizeBytes'>,
  offsetBytes: number,
  lengthBytes: number,
): void {
  const end = offsetBytes + lengthBytes;
  if (offsetBytes >= 0 && lengthBytes >= 0 && end <= sizeBytes && Number.isSafeInteger(end)) {
    if (offsetBytes % blockSize === 0 && lengthBytes % blockSize === 0) return;
  }
  throw new RangeError(
    `${lengthBytes} bytes at offset ${offsetBytes} are no range of blocks of ${blockSize} bytes within ${sizeBytes} bytes.`,
  );
}

/** Throws a RangeError unless this is a size that a device of such blocks can have. */
export function checkSize(blockSize: number, sizeBytes: number): void {
  if (sizeBytes >= 0 && Number.isSafeInteger(sizeBytes) && sizeBytes % blockSize === 0) return;
  throw new RangeError(`${sizeBytes} bytes is no size of a device with blocks of ${blockSize} bytes.`);
}

/** The whole blocks of `unit` bytes that the range touches. */
export function outerBlocks(range: Range, unit: number): Range {
  const offsetBytes = roundDown(range.offsetBytes, unit);
  return {
    offsetBytes,
    lengthBytes: roundUp(range.offsetBytes + range.lengthBytes, unit) - offsetBytes,
  };
}

/** Collects extents that follow each other, merging those of one kind. */
export class ExtentList {
  readonly extents: Extent[] = [];
  #end: number;

  constructor(offsetBytes: number) {
    this.#end = offsetBytes;
  }

  /** Adds what there is from the last end up to `end`; nothing when that is behind. */
  extendTo(end: number, kind: Extent['kind']): void {
    if (end <= this.#end) return;
    const last = this.extents.at(-1);
    const offsetBytes = last?.kind === kind ? last.offsetBytes : this.#end;
    if (last?.kind === kind) this.extents.pop();
    this.extents.push({ offsetBytes, lengthBytes: end - offsetBytes, kind });
    this.#end = end;
  }
}

/**
 * Carries extents over to a device whose blocks are of `unit` bytes and that begins `shiftBytes` further on: data is
 * rounded outward to blocks, and everything is cut to the range.
 */
export function mapExtents(
  extents: readonly Extent[],
  { range, unit, shiftBytes }: { range: Range; unit: number; shiftBytes: number },
): readonly Extent[] {
  const rangeEnd = range.offsetBytes + range.lengthBytes;
  const list = new ExtentList(range.offsetBytes);
  for (const extent of extents) {
    if (extent.kind === 'zero') continue;
    const offsetBytes = roundDown(extent.offsetBytes - shiftBytes, unit);
    const end = roundUp(extent.offsetBytes + extent.lengthBytes - shiftBytes, unit);
    list.extendTo(Math.min(offsetBytes, rangeEnd), 'zero');
    list.extendTo(Math.min(end, rangeEnd), 'data');
  }
  list.extendTo(rangeEnd, 'zero');
  return list.extents;
}
