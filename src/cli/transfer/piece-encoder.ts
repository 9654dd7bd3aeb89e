import { promisify } from 'node:util';
import { gzip } from 'node:zlib';

const gzipAsync = promisify(gzip);

/** Slices from all over a piece tell how well and how fast it packs, at a sixteenth of the cost. */
const SAMPLE_SLICES = 4;
const SLICE_BYTES = 64 * 1024;
/** Other workers let the first piece have the line to itself for this long, so that its time means something. */
const FIRST_PIECE_MS = 200;
/** Packing must promise at least this much to be tried: estimates are rough, and processors are shared. */
const GAIN = 0.8;
/** After so many pieces the other way is looked at again. */
const REVIEW_PIECES = 64;
/** A line this many times slower than at the last look is looked at again. */
const SLOWER = 1.5;
/** A packed piece that saves less than this travels as it is. */
const WORTHWHILE_RATIO = 0.9;

export type GzipMode = 'auto' | 'always' | 'never';

export interface EncoderClock {
  nowMs(): number;
  sleep(delayMs: number, signal?: AbortSignal): Promise<void>;
}

export interface EncodedPiece {
  readonly body: Buffer;
  readonly isGzip: boolean;
}

/**
 * Decides for each piece whether it travels packed, by what was measured: on a fast line packing costs more time than
 * it saves, on a slow one it is the other way round. The first piece travels as it is and is timed; if it takes so
 * long that packing at the pace of a sample would win, packing begins, and is timed itself. zlib packs in its own threads.
 */
export class PieceEncoder {
  readonly #mode: GzipMode;
  readonly #clock: EncoderClock;
  #usesGzip = false;
  #pieces = 0;
  #reviewAt = 1;
  /** What a raw byte cost when that was last looked at. */
  #reviewedCost = 0;
  /** Milliseconds a byte, from the start of encoding to the answer, smoothed; null until measured. */
  #rawCost: number | null = null;
  #gzipCost: number | null = null;
  #first: Promise<void> | null = null;
  #reviewing: Promise<void> | null = null;

  constructor(mode: GzipMode, clock: EncoderClock) {
    this.#mode = mode;
    this.#clock = clock;
  }

  /** Encodes the piece, hands it to `send`, and learns from how long the two took. */
  async deliver(piece: Buffer, send: (encoded: EncodedPiece) => Promise<void>): Promise<void> {
    if (this.#mode === 'never') return send({ body: piece, isGzip: false });
    if (this.#mode === 'always') return send(await pack(piece));
    if (this.#first === null) return this.#deliverFirst(piece, send);
    await this.#first;
    const number = ++this.#pieces;
    const startedMs = this.#clock.nowMs();
    if (number >= this.#reviewAt) this.#reviewing = this.#review(piece);
    await this.#reviewing;
    // Now and then one goes the other way, so that a line that became faster is noticed.
    const probesRaw = this.#usesGzip && number % REVIEW_PIECES === 0;
    const encoded = this.#usesGzip && !probesRaw ? await pack(piece) : { body: piece, isGzip: false };
    await send(encoded);
    const cost = (this.#clock.nowMs() - startedMs) / piece.length;
    if (encoded.body === piece && !this.#usesGzip) this.#learnRawCost(smoothed(this.#rawCost, cost));
    else if (probesRaw) this.#rawCost = cost;
    else this.#learnGzipCost(cost);
  }

  /** A line that is slower than it was thought to be is reason to look again now. */
  #learnRawCost(cost: number): void {
    this.#rawCost = cost;
    if (cost > this.#reviewedCost * SLOWER) this.#reviewAt = this.#pieces + 1;
  }

  /** What was measured beats the estimate: packing that is slower after all ends at once. */
  #learnGzipCost(cost: number): void {
    this.#gzipCost = smoothed(this.#gzipCost, cost);
    if (this.#gzipCost > (this.#rawCost ?? 0)) this.#usesGzip = false;
  }

  async #deliverFirst(piece: Buffer, send: (encoded: EncodedPiece) => Promise<void>): Promise<void> {
    const startedMs = this.#clock.nowMs();
    const sending = send({ body: piece, isGzip: false });
    const answered = new AbortController();
    const stopWaiting = (): void => answered.abort();
    sending.then(stopWaiting, stopWaiting);
    this.#first = this.#clock.sleep(FIRST_PIECE_MS, answered.signal).then(() => {
      // What is still under way is expected to take as long again.
      const expected = answered.signal.aborted ? 1 : 2;
      this.#rawCost = (expected * (this.#clock.nowMs() - startedMs)) / piece.length;
    });
    await sending;
    this.#learnRawCost((this.#clock.nowMs() - startedMs) / piece.length);
  }

  /** Estimates from a sample whether packing would win; while packing, what is measured decides. */
  async #review(piece: Buffer): Promise<void> {
    this.#reviewAt = this.#pieces + REVIEW_PIECES;
    if (this.#usesGzip) return;
    const rawCost = this.#rawCost ?? 0;
    this.#reviewedCost = rawCost;
    const sample = takeSample(piece);
    const startedMs = this.#clock.nowMs();
    const packedBytes = (await gzipAsync(sample, { level: 1 })).length;
    const packCost = (this.#clock.nowMs() - startedMs) / sample.length;
    this.#usesGzip = packCost + rawCost * (packedBytes / sample.length) < rawCost * GAIN;
    if (this.#usesGzip) this.#gzipCost = null;
  }
}

function takeSample(piece: Buffer): Buffer {
  if (piece.length <= SAMPLE_SLICES * SLICE_BYTES) return piece;
  const stepBytes = Math.floor(piece.length / SAMPLE_SLICES);
  return Buffer.concat(
    Array.from({ length: SAMPLE_SLICES }, (_, slice) =>
      piece.subarray(slice * stepBytes, slice * stepBytes + SLICE_BYTES),
    ),
  );
}

async function pack(piece: Buffer): Promise<EncodedPiece> {
  const packed = await gzipAsync(piece, { level: 1 });
  return packed.length < piece.length * WORTHWHILE_RATIO
    ? { body: packed, isGzip: true }
    : { body: piece, isGzip: false };
}

function smoothed(previous: number | null, measured: number): number {
  return previous === null ? measured : previous * 0.75 + measured * 0.25;
}
