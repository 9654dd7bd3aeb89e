import type { Sha256InThread } from '../cli-io.ts';
import { sha256Hex } from './zero-blocks.ts';

/** How long a piece waits for another to be hashed together with: about as long as it takes to hash one. */
const PAIR_WAIT_MS = 5;
/** Smaller pieces are not worth a wait. */
const LEAST_PAIRED_BYTES = 256 * 1024;

export interface HasherParts {
  readonly sha256InThread?: Sha256InThread | undefined;
  /** Pieces that are under way at once. */
  readonly parallel: number;
  sleep(delayMs: number, signal?: AbortSignal): Promise<void>;
}

interface WaitingPiece {
  readonly bytes: Uint8Array;
  resolve(sha256: Promise<string>): void;
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
    const { sha256InThread, parallel } = this.#parts;
    if (sha256InThread === undefined || bytes.length < LEAST_PAIRED_BYTES) return sha256Hex(bytes);
    if (parallel === 1) return await hashAlone(sha256InThread, bytes);
    const waiting = this.#waiting;
    if (waiting === null) return await this.#waitForAnother(sha256InThread, bytes);
    this.#waiting = null;
    const hashing = sha256InThread([waiting.bytes, bytes]);
    waiting.resolve(hashing.then((hashes) => hexOf(hashes[0])));
    return hexOf((await hashing)[1]);
  }

  async #waitForAnother(sha256InThread: Sha256InThread, bytes: Buffer): Promise<string> {
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
    void this.#parts.sleep(PAIR_WAIT_MS, paired.signal).then(() => {
      if (this.#waiting !== piece) return;
      this.#waiting = null;
      resolve(hashAlone(sha256InThread, bytes));
    });
    return await promise;
  }
}

async function hashAlone(sha256InThread: Sha256InThread, bytes: Buffer): Promise<string> {
  return hexOf((await sha256InThread([bytes]))[0]);
}

function hexOf(sha256: Uint8Array | undefined): string {
  if (sha256 === undefined) throw new Error('A piece was left unhashed.');
  return Buffer.from(sha256.buffer, sha256.byteOffset, sha256.byteLength).toString('hex');
}
