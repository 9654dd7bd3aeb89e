import { FAILED, WOULD_BLOCK } from '../../runtime/socket-calls.ts';
import type { DeviceWork } from './device-work.ts';
import type { IoBuffer, IoBuffers } from './io-buffers.ts';
import type { RequestMemory } from './request-memory.ts';
import type { Receiver } from './receiver.ts';
import type { Request } from './request.ts';

/** What is received of a WRITE before it is written. */
const CHUNK_BYTES = 512 * 1024;

/**
 * A WRITE whose data has not come completely: received into a lent buffer, and written chunk by chunk, or as a whole by
 * whoever takes the buffer over.
 */
export class Payload {
  readonly #receiver: Receiver;
  readonly #buffers: IoBuffers;
  /** Where the data is received as a whole; null where it is written chunk by chunk. */
  readonly #memory: RequestMemory | null;
  #pending: { request: Request; startedAtMs: number; work: DeviceWork } | null = null;
  #buffer: IoBuffer | null = null;
  #error = 0;
  #offsetBytes = 0;
  #leftBytes = 0;
  #filledBytes = 0;

  constructor(receiver: Receiver, buffers: IoBuffers, memory: RequestMemory | null) {
    this.#memory = memory;
    this.#receiver = receiver;
    this.#buffers = buffers;
  }

  get isPending(): boolean {
    return this.#pending !== null;
  }

  /** Begins with a request; with an error its data is taken and dropped. */
  begin(
    request: Request,
    { error, startedAtMs, work }: { error: number; startedAtMs: number; work: DeviceWork },
  ): void {
    this.#buffer = this.#memory?.borrow(request.lengthBytes) ?? this.#buffers.borrow();
    this.#pending = { request, startedAtMs, work };
    this.#error = error;
    this.#offsetBytes = request.offsetBytes;
    this.#leftBytes = request.lengthBytes;
    this.#filledBytes = 0;
  }

  /** Adds the part of the data that came together with the request: less than a chunk. */
  add(data: Uint8Array): void {
    this.#buffer?.bytes.set(data, this.#filledBytes);
    this.#filledBytes += data.byteLength;
  }

  receive(): 'more' | 'wait' | 'left' | 'lost' | 'complete' {
    const buffer = this.#buffer;
    if (buffer === null) throw new Error('There is no data to receive.');
    const chunkBytes = this.#memory === null ? Math.min(CHUNK_BYTES, this.#leftBytes) : this.#leftBytes;
    const received = this.#receiver.receive(buffer, this.#filledBytes, chunkBytes);
    if (received === WOULD_BLOCK) return 'wait';
    if (received === 0) return 'left';
    if (received === FAILED) return 'lost';
    this.#filledBytes += received;
    if (this.#filledBytes < chunkBytes) return 'more';
    if (this.#memory !== null) return 'complete';
    this.#writeChunk(buffer.bytes.subarray(0, chunkBytes));
    return this.#leftBytes === 0 ? 'complete' : 'more';
  }

  /** The request that is complete, and what became of it; or its data, if that is still to be written. */
  finish(): { request: Request; error: number; startedAtMs: number; data: IoBuffer | null } {
    if (this.#pending === null) throw new Error('There is no request to finish.');
    const { request, startedAtMs } = this.#pending;
    const error = this.#error;
    const data = this.#memory === null || error !== 0 ? null : this.#buffer;
    if (data !== null) this.#buffer = null;
    this.release();
    return { request, error, startedAtMs, data };
  }

  /** Gives the buffer back, whether or not all has come. */
  release(): void {
    if (this.#buffer !== null) (this.#memory ?? this.#buffers).giveBack(this.#buffer);
    this.#buffer = null;
    this.#pending = null;
  }

  #writeChunk(data: Buffer): void {
    if (this.#error === 0) this.#error = this.#pending?.work.write(this.#offsetBytes, data) ?? 0;
    this.#offsetBytes += data.byteLength;
    this.#leftBytes -= data.byteLength;
    this.#filledBytes = 0;
  }
}
