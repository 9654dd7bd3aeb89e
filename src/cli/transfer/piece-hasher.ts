import type { Sha256Pair } from '../cli-io.ts';
import { sha256Hex } from './zero-blocks.ts';

/** How long a piece waits for another to be hashed together with: about as long as it takes to hash one. */
const PAIR_WAIT_MS = 5;
/** Smaller pieces are not worth a wait. */
const LEAST_PAIRED_BYTES = 256 * 1024;

export interface HasherParts {
  readonly sha256Pair?: Sha256Pair | undefined;
  /** Pieces that are under way at once. */
  readonly parallel: number;
  sleep(delayMs: number, signal?: AbortSignal): Promise<void>;
}

interface WaitingPiece {
  readonly bytes: Uint8Array;
  resolve(sha256: string): void;
}

/** Hashes pieces, two at once where two take as long as one: then each waits a moment for another one. */
export class PieceHasher {
  readonly #parts: HasherParts;
  #waiting: WaitingPiece | null = null;

  constructor(parts: HasherParts) {
    this.#parts = parts;
  }

  /** SHA-256 in hex. The bytes must stay as they are until it is there. */
  async sha256(bytes: Buffer): Promise<string> {
    const { sha256Pair, parallel } = this.#parts;
    if (sha256Pair === undefined || parallel === 1 || bytes.length < LEAST_PAIRED_BYTES) {
      return sha256Hex(bytes);
    }
    const waiting = this.#waiting;
    if (waiting === null) return await this.#waitForAnother(bytes);
    this.#waiting = null;
    const [ofWaiting, ofThis] = sha256Pair([waiting.bytes], [bytes]);
    waiting.resolve(Buffer.from(ofWaiting).toString('hex'));
    return Buffer.from(ofThis).toString('hex');
  }

  async #waitForAnother(bytes: Buffer): Promise<string> {
    const { promise, resolve } = Promise.withResolvers<string>();
    const paired = new AbortController();
    const piece: WaitingPiece = {
      bytes,
      resolve(sha256) {
        paired.abort();
        resolve(sha256);
      },
    };
    this.#waiting = piece;
    await this.#parts.sleep(PAIR_WAIT_MS, paired.signal);
    if (this.#waiting === piece) {
      this.#waiting = null;
      return sha256Hex(bytes);
    }
    return await promise;
  }
}
