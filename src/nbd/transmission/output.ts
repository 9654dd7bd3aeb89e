import { FAILED, WOULD_BLOCK } from '../../runtime/socket-calls.ts';
import type { SocketCalls } from '../../runtime/socket-calls.ts';
import type { IoBuffer, IoBuffers, ReadData } from './io-buffers.ts';

export type SendResult = 'sent' | 'blocked' | 'broken';

/** Replies that are in a buffer, from one place to another. */
export interface FilledBuffer extends ReadData {
  readonly startBytes: number;
  readonly endBytes: number;
}

/**
 * Replies on their way to one client. They are put together in a lent buffer, which goes back when it is empty, or are in
 * buffers of their own.
 */
export class Output {
  readonly #calls: SocketCalls;
  readonly #descriptor: number;
  readonly #buffers: IoBuffers;
  /** What is sent before anything else is put together. */
  readonly #filled: FilledBuffer[] = [];
  #buffer: IoBuffer | null = null;
  /** What has been sent of the first buffer. */
  #sentBytes = 0;
  #end = 0;

  constructor(calls: SocketCalls, descriptor: number, buffers: IoBuffers) {
    this.#calls = calls;
    this.#descriptor = descriptor;
    this.#buffers = buffers;
  }

  /** The buffer, with at least this much room behind `end`; null when something must be sent before. */
  room(lengthBytes: number): IoBuffer | null {
    if (this.#filled.length > 0) return null;
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

  /** Adds replies that are in a buffer of their own, which goes back to its owner when they are sent. */
  adopt(filled: FilledBuffer): void {
    const own = this.#takeOwn();
    if (own !== null) this.#filled.push(own);
    this.#filled.push(filled);
  }

  send(): SendResult {
    for (let filled = this.#filled[0]; filled !== undefined; filled = this.#filled[0]) {
      const result = this.#sendOne(filled);
      if (result !== 'sent') return result;
      this.#sentBytes = 0;
      this.#filled.shift();
      filled.owner.giveBack(filled.buffer);
    }
    return this.#sendOwn();
  }

  /** Gives the buffers back, with whatever is in them. */
  release(): void {
    const own = this.#takeOwn();
    if (own !== null) this.#filled.push(own);
    for (const { buffer, owner } of this.#filled.splice(0)) owner.giveBack(buffer);
    this.#sentBytes = 0;
  }

  #sendOwn(): SendResult {
    if (this.#buffer === null) return 'sent';
    const filled = { buffer: this.#buffer, owner: this.#buffers, startBytes: 0, endBytes: this.#end };
    const result = this.#sendOne(filled);
    if (result === 'sent') this.release();
    return result;
  }

  #sendOne({ buffer, startBytes, endBytes }: FilledBuffer): SendResult {
    for (let at = startBytes + this.#sentBytes; at < endBytes; at = startBytes + this.#sentBytes) {
      const span = { address: buffer.address + at, lengthBytes: endBytes - at };
      const sent = this.#calls.send(this.#descriptor, span, false);
      if (sent === WOULD_BLOCK) return 'blocked';
      if (sent === FAILED) return 'broken';
      this.#sentBytes += sent;
    }
    return 'sent';
  }

  /** The buffer that is being put together, to which nothing more is added. */
  #takeOwn(): FilledBuffer | null {
    const buffer = this.#buffer;
    if (buffer === null) return null;
    const filled = { buffer, owner: this.#buffers, startBytes: 0, endBytes: this.#end };
    this.#buffer = null;
    this.#end = 0;
    return filled;
  }
}
