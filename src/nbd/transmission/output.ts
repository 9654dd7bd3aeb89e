import { FAILED, WOULD_BLOCK } from '../../runtime/socket-calls.ts';
import type { SocketCalls } from '../../runtime/socket-calls.ts';
import type { IoBuffer, IoBuffers } from './io-buffers.ts';

export type SendResult = 'sent' | 'blocked' | 'broken';

/** Replies on their way to one client. They are put together in a lent buffer, which goes back when it is empty. */
export class Output {
  readonly #calls: SocketCalls;
  readonly #descriptor: number;
  readonly #buffers: IoBuffers;
  #buffer: IoBuffer | null = null;
  #start = 0;
  #end = 0;

  constructor(calls: SocketCalls, descriptor: number, buffers: IoBuffers) {
    this.#calls = calls;
    this.#descriptor = descriptor;
    this.#buffers = buffers;
  }

  /** The buffer, with at least this much room behind `end`; null when something must be sent before. */
  room(lengthBytes: number): IoBuffer | null {
    this.#buffer ??= this.#buffers.borrow();
    return this.#buffer.lengthBytes - this.#end >= lengthBytes ? this.#buffer : null;
  }

  /** Where the next reply goes. */
  get end(): number {
    return this.#end;
  }

  /** Adds what was written between `end` and this place. */
  extendTo(end: number): void {
    this.#end = end;
  }

  send(): SendResult {
    while (this.#buffer !== null && this.#start < this.#end) {
      const span = { address: this.#buffer.address + this.#start, lengthBytes: this.#end - this.#start };
      const sent = this.#calls.send(this.#descriptor, span, false);
      if (sent === WOULD_BLOCK) return 'blocked';
      if (sent === FAILED) return 'broken';
      this.#start += sent;
    }
    this.release();
    return 'sent';
  }

  /** Gives the buffer back, with whatever is in it. */
  release(): void {
    if (this.#buffer !== null) this.#buffers.giveBack(this.#buffer);
    this.#buffer = null;
    this.#start = 0;
    this.#end = 0;
  }
}
