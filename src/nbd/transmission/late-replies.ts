import { NBD_CMD } from '../protocol-numbers.ts';
import type { IoBuffer } from './io-buffers.ts';
import type { Output } from './output.ts';
import { dataHeaderBytes, SHORT_REPLY_BYTES, writeDataHeader, writeOutcome } from './reply-format.ts';
import type { ReplyForm } from './reply-format.ts';
import type { RequestMemory } from './request-memory.ts';
import type { Request } from './request.ts';

/** A part of a reply's data that fits into the output together with a header. */
const PART_BYTES = 512 * 1024;

/** A reply that is known: an error of the protocol or 0, and what was read. */
export interface LateReply {
  readonly request: Request;
  readonly error: number;
  readonly data: IoBuffer | null;
}

/**
 * Replies that come later than their turn, or for which the output had no room. They are added to it one after the other, each
 * as a whole before the next one.
 */
export class LateReplies {
  readonly #output: Output;
  readonly #form: ReplyForm;
  readonly #memory: RequestMemory | null;
  readonly #waiting: LateReply[] = [];
  /** What has been added of the first one's data. */
  #doneBytes = 0;

  constructor(output: Output, form: ReplyForm, memory: RequestMemory | null) {
    this.#output = output;
    this.#form = form;
    this.#memory = memory;
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
      const isWhole =
        reply.data === null ? this.addOutcome(reply.request, reply.error) : this.#addData(reply, reply.data);
      if (!isWhole) return;
      this.#waiting.shift();
      this.#doneBytes = 0;
    }
  }

  /** Forgets them, and gives back what was read. */
  release(): void {
    for (const { data } of this.#waiting.splice(0)) if (data !== null) this.#memory?.giveBack(data);
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

  #addData({ request }: LateReply, data: IoBuffer): boolean {
    const { offsetBytes, lengthBytes } = request;
    while (this.#doneBytes < lengthBytes) {
      const partBytes = Math.min(PART_BYTES, lengthBytes - this.#doneBytes);
      const headerBytes = this.#doneBytes === 0 ? dataHeaderBytes(this.#form) : 0;
      const buffer = this.#output.room(headerBytes + partBytes);
      if (buffer === null) return false;
      const header = { form: this.#form, request, offsetBytes, lengthBytes, isLast: true };
      const { end } = this.#output;
      const at = headerBytes === 0 ? end : writeDataHeader(buffer.numbers, end, header);
      buffer.bytes.set(data.bytes.subarray(this.#doneBytes, this.#doneBytes + partBytes), at);
      this.#output.extendTo(at + partBytes);
      this.#doneBytes += partBytes;
    }
    this.#memory?.giveBack(data);
    return true;
  }
}
