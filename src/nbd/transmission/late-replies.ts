import { NBD_CMD } from '../protocol-numbers.ts';
import { REPLY_ROOM_BYTES } from './io-buffers.ts';
import type { ReadData } from './io-buffers.ts';
import type { Output } from './output.ts';
import { dataHeaderBytes, SHORT_REPLY_BYTES, writeDataHeader, writeOutcome } from './reply-format.ts';
import type { ReplyForm } from './reply-format.ts';
import type { Request } from './request.ts';

/** Data from here on is sent from where it is: to copy it together with other replies would take longer than sending it alone. */
const SENT_ALONE_BYTES = 32 * 1024;

/** A reply that is known: an error of the protocol or 0, and what was read. */
export interface LateReply {
  readonly request: Request;
  readonly error: number;
  readonly data: ReadData | null;
}

/** Replies that come later than their turn, or for which the output had no room. They are added to it in their order. */
export class LateReplies {
  readonly #output: Output;
  readonly #form: ReplyForm;
  readonly #waiting: LateReply[] = [];

  constructor(output: Output, form: ReplyForm) {
    this.#output = output;
    this.#form = form;
  }

  get isEmpty(): boolean {
    return this.#waiting.length === 0;
  }

  push(reply: LateReply): void {
    this.#waiting.push(reply);
  }

  /** Adds what there is room for. */
  add(): void {
    for (let reply = this.#waiting[0]; reply !== undefined; reply = this.#waiting[0]) {
      const { request, error, data } = reply;
      const isAdded = data === null ? this.addOutcome(request, error) : this.#addData(request, data);
      if (!isAdded) return;
      this.#waiting.shift();
    }
  }

  /** Forgets them, and gives back what was read. */
  release(): void {
    for (const { data } of this.#waiting.splice(0)) data?.owner.giveBack(data.buffer);
  }

  /** Adds a reply that is no more than success (0) or an error; false when there is no room for it. */
  addOutcome(request: Request, error: number): boolean {
    const buffer = this.#output.room(SHORT_REPLY_BYTES);
    if (buffer === null) return false;
    const mustBeChunk = request.command === NBD_CMD.READ || request.command === NBD_CMD.BLOCK_STATUS;
    const reply = { form: this.#form, request, error, mustBeChunk };
    this.#output.extendTo(writeOutcome(buffer.numbers, this.#output.end, reply));
    return true;
  }

  #addData(request: Request, { buffer, owner }: ReadData): boolean {
    const { offsetBytes, lengthBytes } = request;
    const reply = { form: this.#form, request, offsetBytes, lengthBytes, isLast: true };
    const headerBytes = dataHeaderBytes(this.#form);
    const endBytes = REPLY_ROOM_BYTES + lengthBytes;
    if (lengthBytes >= SENT_ALONE_BYTES) {
      const startBytes = REPLY_ROOM_BYTES - headerBytes;
      writeDataHeader(buffer.numbers, startBytes, reply);
      this.#output.adopt({ buffer, owner, startBytes, endBytes });
      return true;
    }
    const output = this.#output.room(headerBytes + lengthBytes);
    if (output === null) return false;
    const at = writeDataHeader(output.numbers, this.#output.end, reply);
    output.bytes.set(buffer.bytes.subarray(REPLY_ROOM_BYTES, endBytes), at);
    this.#output.extendTo(at + lengthBytes);
    owner.giveBack(buffer);
    return true;
  }
}
