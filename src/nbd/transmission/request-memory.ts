import { newIoBuffer, REPLY_ROOM_BYTES } from './io-buffers.ts';
import type { IoBuffer } from './io-buffers.ts';

const SMALLEST_BYTES = 4096;
/** Larger ones are made for one request and given back to the system. */
const LARGEST_KEPT_BYTES = 1024 * 1024;
/** What is kept at most while no request needs it. */
const MAX_KEPT_BYTES = 32 * 1024 * 1024;

/** The memory of requests that a device is working on, for one thread; kept for the next requests of about the size. */
export class RequestMemory {
  readonly #free = new Map<number, IoBuffer[]>();
  #keptBytes = 0;

  /** A buffer of at least this many bytes and room for a reply's header. */
  borrow(lengthBytes: number): IoBuffer {
    const size = sizeFor(lengthBytes);
    const again = this.#free.get(size)?.pop();
    if (again === undefined) return newIoBuffer(size);
    this.#keptBytes -= size;
    return again;
  }

  /** Takes a buffer back that nobody uses any more. */
  giveBack(buffer: IoBuffer): void {
    const { lengthBytes } = buffer;
    if (lengthBytes > LARGEST_KEPT_BYTES + REPLY_ROOM_BYTES || this.#keptBytes + lengthBytes > MAX_KEPT_BYTES)
      return;
    const ofSize = this.#free.get(lengthBytes) ?? [];
    this.#free.set(lengthBytes, ofSize);
    ofSize.push(buffer);
    this.#keptBytes += lengthBytes;
  }
}

function sizeFor(lengthBytes: number): number {
  if (lengthBytes > LARGEST_KEPT_BYTES) return lengthBytes + REPLY_ROOM_BYTES;
  let size = SMALLEST_BYTES;
  while (size < lengthBytes) size *= 2;
  return size + REPLY_ROOM_BYTES;
}
