import type { Range } from '../blockdev/block-device.ts';
import { PIECE_BYTES, viewOf } from './arena.ts';
import type { Loan, Segment } from './arena.ts';
import type { LentPiece, LentPieces } from './volumes.ts';

/** Pieces that one read has in memory at a time: one on its way out, the others being read. */
export const READ_WINDOW_PIECES = 2;

/** Reads one piece of the drive into a segment of the arena. */
export type ReadPiece = (offsetBytes: number, into: Segment) => Promise<unknown>;

/** How many pieces a range takes. */
export function pieceCount(range: Range): number {
  return Math.ceil(range.lengthBytes / PIECE_BYTES);
}

/**
 * Reads a range piece by piece into borrowed memory, as far ahead as the loan has room. The loan is given back
 * when the last piece has been released and nothing is being read into it, whether or not all was read.
 */
export async function readPieces(options: {
  range: Range;
  loan: Loan;
  memory: WebAssembly.Memory;
  readPiece: ReadPiece;
}): Promise<LentPieces> {
  const reader = new PieceReader(options);
  await reader.waitForFirst();
  return {
    pieces: { [Symbol.asyncIterator]: () => reader },
    abandon: () => reader.stop(),
  };
}

class PieceReader implements AsyncIterator<LentPiece> {
  readonly #options: { range: Range; loan: Loan; memory: WebAssembly.Memory; readPiece: ReadPiece };
  readonly #reads: Promise<Segment>[] = [];
  #nextOffsetBytes: number;
  /** Slots that are being read into, or are out with the consumer. */
  #slotsInUse = 0;
  #isStopped = false;
  #isGivenBack = false;
  /** Settled when the next read has begun, or none will. */
  #change = Promise.withResolvers<void>();

  constructor(options: { range: Range; loan: Loan; memory: WebAssembly.Memory; readPiece: ReadPiece }) {
    this.#options = options;
    this.#nextOffsetBytes = options.range.offsetBytes;
    for (const slot of slotsOf(options.loan)) this.#readInto(slot);
  }

  async waitForFirst(): Promise<void> {
    try {
      await this.#reads[0];
    } catch (error) {
      this.stop();
      throw error;
    }
  }

  async next(): Promise<IteratorResult<LentPiece>> {
    const { range } = this.#options;
    const endBytes = range.offsetBytes + range.lengthBytes;
    // A consumer may hold all the memory there is: the next read then begins when it gives some of it back.
    while (this.#reads.length === 0 && this.#nextOffsetBytes < endBytes && !this.#isStopped) {
      await this.#change.promise;
    }
    const read = this.#reads[0];
    if (read === undefined || this.#isStopped) return { done: true, value: undefined };
    const segment = await read.catch((error: unknown) => {
      // A consumer that is thrown at does not come back to say that it has ended.
      this.stop();
      throw error;
    });
    this.#reads.shift();
    let isReleased = false;
    const release = (): void => {
      if (isReleased) throw new Error('This piece was given back before.');
      isReleased = true;
      this.#slotsInUse -= 1;
      this.#readInto({ address: segment.address, lengthBytes: PIECE_BYTES });
      this.#finishIfIdle();
    };
    return { done: false, value: { bytes: viewOf(this.#options.memory, segment), release } };
  }

  // oxlint-disable-next-line require-await -- The protocol of iterators wants a promise.
  async return(): Promise<IteratorResult<LentPiece>> {
    this.stop();
    return { done: true, value: undefined };
  }

  /** Reads no more. Pieces that are out stay valid until released. */
  stop(): void {
    if (this.#isStopped) return;
    this.#isStopped = true;
    this.#changed();
    const unread = this.#reads.splice(0);
    for (const read of unread) {
      const settled = (): void => {
        this.#slotsInUse -= 1;
        this.#finishIfIdle();
      };
      read.then(settled, settled);
    }
    this.#finishIfIdle();
  }

  #readInto(slot: Segment): void {
    const { range, readPiece } = this.#options;
    const offsetBytes = this.#nextOffsetBytes;
    const lengthBytes = Math.min(PIECE_BYTES, range.offsetBytes + range.lengthBytes - offsetBytes);
    if (lengthBytes <= 0 || this.#isStopped) return;
    this.#nextOffsetBytes += lengthBytes;
    this.#slotsInUse += 1;
    const segment = { address: slot.address, lengthBytes };
    const read = readPiece(offsetBytes, segment).then(() => segment);
    // A failed read is seen by whoever asks for its piece; nobody may ask any more.
    read.catch(() => undefined);
    this.#reads.push(read);
    this.#changed();
  }

  #changed(): void {
    this.#change.resolve();
    this.#change = Promise.withResolvers<void>();
  }

  #finishIfIdle(): void {
    if (this.#slotsInUse > 0 || this.#isGivenBack) return;
    this.#isStopped = true;
    this.#isGivenBack = true;
    this.#options.loan.release();
  }
}

function slotsOf(loan: Loan): Segment[] {
  return loan.segments.flatMap((segment) =>
    Array.from({ length: segment.lengthBytes / PIECE_BYTES }, (_, index) => ({
      address: segment.address + index * PIECE_BYTES,
      lengthBytes: PIECE_BYTES,
    })),
  );
}
