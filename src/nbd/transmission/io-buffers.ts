import { addressOf } from '../../runtime/memory-address.ts';

/** Memory that sockets, files and ciphers work on: as bytes, as numbers, and by its address in the process. */
export interface IoBuffer {
  readonly bytes: Buffer;
  readonly numbers: DataView;
  readonly address: number;
  readonly lengthBytes: number;
}

/** The data of a reply that has been read, from `REPLY_ROOM_BYTES` on, and who takes the buffer back. */
export interface ReadData {
  readonly buffer: IoBuffer;
  readonly owner: { giveBack(buffer: IoBuffer): void };
}

/** What is kept free in front of data that is read, so that the reply's header fits there; at least as long as any. */
export const REPLY_ROOM_BYTES = 64;

/** A region of memory whose address in the process is known. */
export interface Region {
  readonly buffer: SharedArrayBuffer;
  /** Where it begins in `buffer`. */
  readonly offsetBytes: number;
  /** The address in the process of that place. */
  readonly address: number;
  readonly lengthBytes: number;
}

/** What a reply, or the data of a WRITE, is put together in: two replies of 256 KiB with their headers. */
export const IO_BUFFER_BYTES = 576 * 1024;
/** What requests are received into, before it is known whose data follows. */
export const INPUT_BYTES = 128 * 1024;
const IO_BUFFERS = 24;
/** Of the buffers that were made because all those were out, how many are kept for the next time. */
const MAX_SPARE_BUFFERS = 40;
/** The memory that one thread needs. */
export const TRANSMISSION_BYTES = INPUT_BYTES + IO_BUFFERS * IO_BUFFER_BYTES;

/**
 * The memory of one thread: one input, which is empty between any two connections' turns, and buffers that are lent.
 * A client that does not take its replies, or stops in the middle of a WRITE, keeps what it has, so more are made when
 * all are out: nobody waits for somebody else's client. A connection has two at the most.
 */
export class IoBuffers {
  readonly input: IoBuffer;
  readonly #free: IoBuffer[] = [];
  readonly #lent = new Set<IoBuffer>();

  constructor(region: Region) {
    this.input = part(region, 0, INPUT_BYTES);
    for (let index = 0; index < IO_BUFFERS; index += 1) {
      this.#free.push(part(region, INPUT_BYTES + index * IO_BUFFER_BYTES, IO_BUFFER_BYTES));
    }
    // The lowest go out first, so that memory that was never needed stays untouched.
    this.#free.reverse();
  }

  /** How many are out. */
  get lentCount(): number {
    return this.#lent.size;
  }

  borrow(): IoBuffer {
    const buffer = this.#free.pop() ?? newIoBuffer(IO_BUFFER_BYTES);
    this.#lent.add(buffer);
    return buffer;
  }

  giveBack(buffer: IoBuffer): void {
    if (!this.#lent.delete(buffer)) throw new Error('This buffer was not lent from here.');
    if (this.#free.length < IO_BUFFERS + MAX_SPARE_BUFFERS) this.#free.push(buffer);
  }
}

/** One outside of the region: ciphers copy what is there, sockets and files do not mind. */
export function newIoBuffer(lengthBytes: number): IoBuffer {
  const buffer = new SharedArrayBuffer(lengthBytes);
  return part({ buffer, offsetBytes: 0, address: addressOf(buffer), lengthBytes }, 0, lengthBytes);
}

function part(region: Region, from: number, lengthBytes: number): IoBuffer {
  if (from + lengthBytes > region.lengthBytes) throw new RangeError('The region is too small.');
  const offsetBytes = region.offsetBytes + from;
  return {
    bytes: Buffer.from(region.buffer, offsetBytes, lengthBytes),
    numbers: new DataView(region.buffer, offsetBytes, lengthBytes),
    address: region.address + from,
    lengthBytes,
  };
}
