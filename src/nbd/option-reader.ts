/**
 * Cuts what comes off a socket into the fields that are wanted next, whatever the pieces that it comes in. It holds no
 * more than one field and the rest of one piece.
 */
export class OptionReader {
  #field: Buffer;
  #filledBytes = 0;
  #skipBytes = 0;
  #unread: Buffer = Buffer.alloc(0);
  #receivedBytes = 0;

  /** @param firstBytes how long the first field is */
  constructor(firstBytes: number) {
    this.#field = Buffer.alloc(firstBytes);
  }

  /** All that was ever taken in and used or skipped. */
  get usedBytes(): number {
    return this.#receivedBytes - this.#unread.length;
  }

  /** Takes the next piece; the one before must have been used up. */
  push(piece: Buffer): void {
    if (this.#unread.length > 0) throw new Error('The piece before has not been read.');
    this.#unread = piece;
    this.#receivedBytes += piece.length;
  }

  /** Says how long the next field is, and how many bytes before it are of no interest. */
  want(fieldBytes: number, skipBytes = 0): void {
    this.#field = Buffer.alloc(fieldBytes);
    this.#filledBytes = 0;
    this.#skipBytes = skipBytes;
  }

  /** The wanted field, or null when more has to come first. */
  take(): Buffer | null {
    const skippedBytes = Math.min(this.#skipBytes, this.#unread.length);
    this.#skipBytes -= skippedBytes;
    this.#unread = this.#unread.subarray(skippedBytes);
    if (this.#skipBytes > 0) return null;
    const copiedBytes = this.#unread.copy(this.#field, this.#filledBytes);
    this.#filledBytes += copiedBytes;
    this.#unread = this.#unread.subarray(copiedBytes);
    return this.#filledBytes === this.#field.length ? this.#field : null;
  }

  /** What came after the last field. */
  rest(): Buffer {
    const rest = this.#unread;
    this.#unread = Buffer.alloc(0);
    return rest;
  }
}
