import koffi from 'koffi';
import { getSystemErrorName } from 'node:util';
import { MIB } from '../../core/sizes.ts';
import { systemError } from '../system-error.ts';

/** A piece of a file. */
export interface FilePiece {
  readonly fd: number;
  readonly offsetBytes: number;
  readonly from: Uint8Array;
}

// Numbers of the system calls, from asm/unistd.h; none elsewhere, where pieces are written one after the other.
const CALLS: Readonly<
  Partial<Record<NodeJS.Architecture, { setup: number; getEvents: number; submit: number }>>
> = {
  x64: { setup: 206, getEvents: 208, submit: 209 },
  arm64: { setup: 0, getEvents: 4, submit: 2 },
};
/** What the disk is given at a time. */
const PART_BYTES = MIB / 2;
/** Parts under way at a time. */
const MAX_PENDING = 16;
// struct iocb and struct io_event of linux/aio_abi.h.
const IOCB_BYTES = 64;
const EVENT_BYTES = 32;
const IOCB_CMD_PWRITE = 1;

/**
 * Writes of which the disk works on several parts at once (Linux AIO), for memory and descriptors fit for O_DIRECT. One
 * thread's own.
 */
export class AsyncWrites {
  readonly #submit: (...args: readonly unknown[]) => number;
  readonly #collect: (...args: readonly unknown[]) => number;
  readonly #numbers: { setup: number; getEvents: number; submit: number } | null;
  readonly #control = new DataView(new ArrayBuffer(IOCB_BYTES));
  readonly #pointer = new BigUint64Array(1);
  readonly #events = new DataView(new ArrayBuffer(MAX_PENDING * EVENT_BYTES));
  #context: number | null | undefined;
  #pending: FilePiece[] = [];

  constructor() {
    const lib = koffi.load(null);
    this.#submit = lib.func('int64_t syscall(int64_t, int64_t, int64_t, void *)');
    this.#collect = lib.func('int64_t syscall(int64_t, int64_t, int64_t, int64_t, void *, void *)');
    this.#numbers = CALLS[process.arch] ?? null;
  }

  /**
   * Writes the piece; nothing of it is under way any more when this returns or throws. Returns the parts that were not
   * written as a whole, which must be written in some other way.
   */
  write(piece: FilePiece): readonly FilePiece[] {
    const left: FilePiece[] = [];
    try {
      for (const part of partsOf(piece)) {
        if (this.#begin(part)) continue;
        left.push(...this.#settle());
        if (!this.#begin(part)) left.push(part);
      }
    } finally {
      left.push(...this.#settle());
    }
    return left;
  }

  #begin({ fd, offsetBytes, from }: FilePiece): boolean {
    const context = this.#open();
    if (context === null || this.#numbers === null || this.#pending.length >= MAX_PENDING) return false;
    const control = this.#control;
    control.setBigUint64(0, BigInt(this.#pending.length), true);
    control.setUint16(16, IOCB_CMD_PWRITE, true);
    control.setUint32(20, fd, true);
    control.setBigUint64(24, BigInt(koffi.address(from)), true);
    control.setBigUint64(32, BigInt(from.byteLength), true);
    control.setBigInt64(40, BigInt(offsetBytes), true);
    this.#pointer[0] = BigInt(koffi.address(control));
    if (this.#submit(this.#numbers.submit, context, 1, this.#pointer) !== 1) return false;
    this.#pending.push({ fd, offsetBytes, from });
    return true;
  }

  /** Waits for everything that was begun. Returns what was cut short, or whose alignment the disk does not like. */
  #settle(): readonly FilePiece[] {
    const pending = this.#pending;
    this.#pending = [];
    const left: FilePiece[] = [];
    let failure: string | null = null;
    for (let waiting = pending.length; waiting > 0;) {
      const count = this.#getEvents(waiting);
      for (let index = 0; index < count; index += 1) {
        const part = pending[Number(this.#events.getBigUint64(index * EVENT_BYTES, true))];
        const result = Number(this.#events.getBigInt64(index * EVENT_BYTES + 16, true));
        if (part === undefined) throw new Error('The system answered a write that nobody began.');
        const code = result < 0 ? getSystemErrorName(result) : null;
        if (code !== null && code !== 'EINVAL') failure = code;
        else if (result !== part.from.byteLength) left.push(part);
      }
      waiting -= count;
    }
    if (failure !== null) throw systemError(failure, 'write');
    return left;
  }

  #getEvents(wanted: number): number {
    const { getEvents = 0 } = this.#numbers ?? {};
    for (;;) {
      const events = new Uint8Array(this.#events.buffer);
      const count = this.#collect(getEvents, this.#context, wanted, wanted, events, null);
      if (count > 0) return count;
      const code = getSystemErrorName(-koffi.errno());
      if (code !== 'EINTR') throw systemError(code, 'io_getevents');
    }
  }

  /** The context, which lasts as long as the process: made at the first write, null where there is none to be had. */
  #open(): number | null {
    if (this.#context !== undefined) return this.#context;
    if (this.#numbers === null) return (this.#context = null);
    const context = new BigUint64Array(1);
    const pointer = Number(koffi.address(context));
    const result = this.#submit(this.#numbers.setup, MAX_PENDING, pointer, null);
    this.#context = result === 0 ? Number(context[0]) : null;
    return this.#context;
  }
}

function partsOf({ fd, offsetBytes, from }: FilePiece): readonly FilePiece[] {
  return Array.from({ length: Math.ceil(from.byteLength / PART_BYTES) }, (_, index) => {
    const at = index * PART_BYTES;
    return { fd, offsetBytes: offsetBytes + at, from: from.subarray(at, at + PART_BYTES) };
  });
}
