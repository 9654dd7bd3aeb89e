import { PIECE_BYTES } from './arena.ts';
import type { Arena, Loan, Segment } from './arena.ts';

/** Lends pieces of the arena, first come first served, so that a large request is not overtaken for ever. */
export interface PieceLender {
  readonly pieceCount: number;
  /**
   * Lends this many pieces as soon as they are there. All at once: requests that each held a part while waiting for
   * the rest could wait for each other. Rejects with the signal's reason when it is aborted first.
   */
  borrow(count: number, signal?: AbortSignal): Promise<Loan>;
  /** Lends this many pieces when they are there and nobody waits for any; null otherwise. */
  borrowNow(count: number): Loan | null;
}

interface Waiter {
  readonly count: number;
  readonly lend: (loan: Loan) => void;
}

/** Lends out `totalBytes` of the arena. */
export function createPieceLender(arena: Arena, totalBytes: number): PieceLender {
  const pieceCount = Math.floor(totalBytes / PIECE_BYTES);
  const region = arena.reserve(pieceCount * PIECE_BYTES);
  // Ascending indexes of free pieces: the lowest go out first, so that memory that was never needed stays untouched.
  const free = Array.from({ length: pieceCount }, (_, index) => index);
  const waiters: Waiter[] = [];

  function lend(count: number): Loan {
    const indexes = free.splice(0, count);
    let isReleased = false;
    return {
      segments: segmentsOf(region, indexes),
      release() {
        if (isReleased) throw new Error('These pieces were given back before.');
        isReleased = true;
        giveBack(free, indexes);
        serveWaiters();
      },
    };
  }

  function serveWaiters(): void {
    for (let next = waiters[0]; next !== undefined && next.count <= free.length; next = waiters[0]) {
      waiters.shift();
      next.lend(lend(next.count));
    }
  }

  function borrowNow(count: number): Loan | null {
    return waiters.length === 0 && count <= free.length ? lend(count) : null;
  }

  return {
    pieceCount,
    borrowNow,
    async borrow(count, signal) {
      if (count > pieceCount)
        throw new RangeError(`${count} pieces are more than the ${pieceCount} there are.`);
      signal?.throwIfAborted();
      const loan = borrowNow(count);
      if (loan !== null) return loan;
      return await new Promise<Loan>((resolve, reject) => {
        const waiter = { count, lend: settle };
        const abort = (): void => {
          waiters.splice(waiters.indexOf(waiter), 1);
          reject(signal?.reason as Error);
          serveWaiters();
        };
        function settle(loan: Loan): void {
          signal?.removeEventListener('abort', abort);
          resolve(loan);
        }
        signal?.addEventListener('abort', abort, { once: true });
        waiters.push(waiter);
      });
    },
  };
}

/** Merges two ascending lists in place. */
function giveBack(free: number[], indexes: readonly number[]): void {
  free.push(...indexes);
  free.sort((one, other) => one - other);
}

function segmentsOf(region: Segment, indexes: readonly number[]): Segment[] {
  const segments: { address: number; lengthBytes: number }[] = [];
  for (const index of indexes) {
    const address = region.address + index * PIECE_BYTES;
    const last = segments.at(-1);
    if (last !== undefined && last.address + last.lengthBytes === address) last.lengthBytes += PIECE_BYTES;
    else segments.push({ address, lengthBytes: PIECE_BYTES });
  }
  return segments;
}
