import type { Segment } from './arena.ts';
import type { ReceivedPart } from './protocol.ts';

interface Receiving {
  readonly receiptId: number | null;
  readonly segments: readonly Segment[];
  /** What is in the segments already. */
  readonly filledBytes: number;
}

/** Bodies that a data thread receives and has been told to go on with, by their receipts. */
export class BodyReceipts {
  readonly #parts = new Map<number, Promise<ReceivedPart | null>>();

  /** Keeps what comes of a body until it is asked for, if it has a receipt. */
  keep(receiving: Receiving, part: Promise<ReceivedPart>): Promise<ReceivedPart> {
    const { receiptId, segments, filledBytes } = receiving;
    if (receiptId === null) return part;
    const lengthBytes = segments.reduce((sum, segment) => sum + segment.lengthBytes, 0);
    const whole = part.then(
      (received) => (filledBytes + received.receivedBytes === lengthBytes ? received : null),
      // Told to whoever has asked for it to be received.
      () => null,
    );
    this.#parts.set(receiptId, whole);
    return part;
  }

  /** What was received, once; null when that is not the whole body. */
  async whole(receiptId: number): Promise<ReceivedPart | null> {
    const part = this.#parts.get(receiptId);
    if (part === undefined) throw new Error(`Nobody has asked for body ${receiptId} to be received.`);
    this.#parts.delete(receiptId);
    return await part;
  }
}
