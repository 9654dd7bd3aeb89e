import type { Range } from '../blockdev/block-device.ts';
import { dataStretches } from './drive-bytes.ts';
import type { ImagedDrive } from './drive-bytes.ts';

/** More stretches than these are looked up again each time, so that the memory this takes is bounded. */
const MAX_KEPT = 16_384;

/** Where a drive has data, or had when that was first asked: to look takes a call of the system for each stretch and each hole. */
export interface DataMap {
  readonly drive: ImagedDrive;
  /** The stretches of the range that may hold data, in order; see `dataStretches`. A stretch may continue in the next one. */
  stretches(range: Range): AsyncIterable<Range>;
}

export function createDataMap(drive: ImagedDrive): DataMap {
  let known: { range: Range; stretches: readonly Range[] } | null = null;

  async function* lookUp(range: Range): AsyncGenerator<Range> {
    const stretches: Range[] = [];
    for await (const stretch of dataStretches(drive, range)) {
      if (stretches.length <= MAX_KEPT) stretches.push(stretch);
      yield stretch;
    }
    if (stretches.length <= MAX_KEPT) known ??= { range, stretches };
  }

  return {
    drive,
    stretches: (range) =>
      known !== null && isWithin(range, known.range) ? clip(known.stretches, range) : lookUp(range),
  };
}

async function* clip(stretches: readonly Range[], range: Range): AsyncGenerator<Range> {
  for (const stretch of stretches) {
    if (endOf(stretch) <= range.offsetBytes) continue;
    if (stretch.offsetBytes >= endOf(range)) return;
    const offsetBytes = Math.max(stretch.offsetBytes, range.offsetBytes);
    yield { offsetBytes, lengthBytes: Math.min(endOf(stretch), endOf(range)) - offsetBytes };
  }
}

function isWithin(range: Range, outer: Range): boolean {
  return range.offsetBytes >= outer.offsetBytes && endOf(range) <= endOf(outer);
}

/** How many bytes lie both in one of the stretches and in data of the map; the stretches are in order. */
export async function countShared(stretches: readonly Range[], data: DataMap): Promise<number> {
  const [first, last] = [stretches[0], stretches.at(-1)];
  if (first === undefined || last === undefined) return 0;
  const range = { offsetBytes: first.offsetBytes, lengthBytes: endOf(last) - first.offsetBytes };
  let sharedBytes = 0;
  let index = 0;
  for await (const held of data.stretches(range)) {
    let stretch = stretches[index];
    while (stretch !== undefined && stretch.offsetBytes < endOf(held)) {
      const start = Math.max(stretch.offsetBytes, held.offsetBytes);
      sharedBytes += Math.max(0, Math.min(endOf(stretch), endOf(held)) - start);
      // What the next one of the map has of this stretch is counted then.
      if (endOf(stretch) > endOf(held)) break;
      index += 1;
      stretch = stretches[index];
    }
  }
  return sharedBytes;
}

function endOf({ offsetBytes, lengthBytes }: Range): number {
  return offsetBytes + lengthBytes;
}
