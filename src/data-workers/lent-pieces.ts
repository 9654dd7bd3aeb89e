import type { Range } from '../blockdev/block-device.ts';
import type { Segment } from './arena.ts';
import type { LentPiece, LentPieces } from './volumes.ts';

/** Assigns the range to segments of memory, in order. */
export function placed(
  range: Range,
  segments: readonly Segment[],
): { offsetBytes: number; segment: Segment }[] {
  let offsetBytes = range.offsetBytes;
  const end = range.offsetBytes + range.lengthBytes;
  return segments.map(({ address, lengthBytes }) => {
    const part = Math.min(lengthBytes, end - offsetBytes);
    const placement = { offsetBytes, segment: { address, lengthBytes: part } };
    offsetBytes += part;
    return placement;
  });
}

/** The memory of a failed read may only be lent anew once nothing is being read into it any more. */
export async function allSettledThenThrow(work: readonly Promise<unknown>[]): Promise<void> {
  await Promise.allSettled(work);
  await Promise.all(work);
}

/** Pieces of memory that are given back together, when the last one is released. */
export function lendTogether(views: readonly Uint8Array[], release: () => void): LentPieces {
  let outstanding = views.length;
  const releaseOne = (): void => {
    outstanding -= 1;
    if (outstanding === 0) release();
  };
  async function* pieces(): AsyncGenerator<LentPiece> {
    let lent = 0;
    try {
      for (const bytes of views) {
        lent += 1;
        yield { bytes, release: releaseOne };
      }
    } finally {
      for (; lent < views.length; lent += 1) releaseOne();
    }
  }
  return {
    pieces: pieces(),
    abandon: () => {
      for (let index = 0; index < views.length; index += 1) releaseOne();
    },
  };
}
