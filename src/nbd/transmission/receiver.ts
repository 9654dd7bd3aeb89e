import type { SocketCalls } from '../../runtime/socket-calls.ts';
import type { IoBuffer } from './io-buffers.ts';

/** What a client sends: first what had come before the transmission began, then what its socket has. */
export class Receiver {
  readonly #calls: SocketCalls;
  readonly #descriptor: number;
  #leftover: Uint8Array;

  constructor(calls: SocketCalls, descriptor: number, leftover: Uint8Array) {
    this.#calls = calls;
    this.#descriptor = descriptor;
    this.#leftover = leftover;
  }

  /** Whether there is something that the loop does not know of, because it is not in the socket any more. */
  get hasLeftover(): boolean {
    return this.#leftover.byteLength > 0;
  }

  get leftover(): Uint8Array {
    return this.#leftover;
  }

  /** Like `SocketCalls.receive`, into the part of a buffer from `at` up to `end`. */
  receive({ address, bytes }: IoBuffer, at: number, end: number): number {
    if (!this.hasLeftover) {
      return this.#calls.receive(this.#descriptor, { address: address + at, lengthBytes: end - at });
    }
    const part = this.#leftover.subarray(0, end - at);
    bytes.set(part, at);
    this.#leftover = this.#leftover.subarray(part.byteLength);
    return part.byteLength;
  }
}
