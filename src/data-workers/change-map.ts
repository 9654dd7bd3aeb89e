import type { Range } from '../blockdev/block-device.ts';
import { MIB } from '../core/sizes.ts';

/** What one bit stands for; on volumes of more than `MAX_PIECES` of these, twice as much, and so on. */
const SMALLEST_PIECE_BYTES = MIB;
const MAX_PIECES = 2 ** 23;
const WORD_BITS = 32;

/**
 * Which pieces of a volume have changed, in memory that all threads share: a bit for each piece. Threads mark, and the main
 * thread takes what is marked.
 */
export class ChangeMap {
  readonly shared: SharedArrayBuffer;
  /** The first word is the size of a piece in units of `SMALLEST_PIECE_BYTES`, the others are bits. */
  readonly #words: Int32Array;
  readonly #pieceBytes: number;

  /** The map that lives in this memory, which `ChangeMap.forVolume` has made. */
  constructor(shared: SharedArrayBuffer) {
    this.shared = shared;
    this.#words = new Int32Array(shared);
    this.#pieceBytes = (this.#words[0] ?? 0) * SMALLEST_PIECE_BYTES;
  }

  /** A map of a volume of this size, with nothing marked. */
  static forVolume(sizeBytes: number): ChangeMap {
    let unit = 1;
    while (sizeBytes / (unit * SMALLEST_PIECE_BYTES) > MAX_PIECES) unit *= 2;
    const pieces = Math.ceil(sizeBytes / (unit * SMALLEST_PIECE_BYTES));
    const words = new Int32Array(
      new SharedArrayBuffer((1 + Math.ceil(pieces / WORD_BITS)) * Int32Array.BYTES_PER_ELEMENT),
    );
    words[0] = unit;
    return new ChangeMap(words.buffer as SharedArrayBuffer);
  }

  mark({ offsetBytes, lengthBytes }: Range): void {
    if (lengthBytes === 0) return;
    const last = Math.floor((offsetBytes + lengthBytes - 1) / this.#pieceBytes);
    for (let piece = Math.floor(offsetBytes / this.#pieceBytes); piece <= last; piece += 1) {
      const word = 1 + Math.floor(piece / WORD_BITS);
      if (word >= this.#words.length) return;
      const bit = 1 << (piece % WORD_BITS);
      // Most writes go where others have gone: to look costs the other threads nothing.
      if ((Atomics.load(this.#words, word) & bit) === 0) Atomics.or(this.#words, word, bit);
    }
  }

  /** How many bytes are marked, in whole pieces. */
  markedBytes(): number {
    let pieces = 0;
    for (let word = 1; word < this.#words.length; word += 1) {
      for (let bits = Atomics.load(this.#words, word); bits !== 0; bits &= bits - 1) pieces += 1;
    }
    return pieces * this.#pieceBytes;
  }

  /** Whole pieces that are marked, in order, each no longer marked once it is handed out. */
  *take(): Generator<Range> {
    for (let word = 1; word < this.#words.length; word += 1) {
      const bits = Atomics.exchange(this.#words, word, 0);
      if (bits === 0) continue;
      for (let at = 0; at < WORD_BITS; at += 1) {
        if ((bits & (1 << at)) === 0) continue;
        const piece = (word - 1) * WORD_BITS + at;
        yield { offsetBytes: piece * this.#pieceBytes, lengthBytes: this.#pieceBytes };
      }
    }
  }
}
