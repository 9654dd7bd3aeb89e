import type { BlockDevice, Maybe, Range } from '../../blockdev/block-device.ts';
import { inPieces } from '../../blockdev/maybe.ts';
import { isSystemError, systemError } from '../../blockdev/system-error.ts';
import { NBD_CMD, NBD_CMD_FLAG } from '../protocol-numbers.ts';
import { errorNumber } from './device-error.ts';
import { REPLY_ROOM_BYTES } from './io-buffers.ts';
import type { IoBuffer, ReadData } from './io-buffers.ts';
import type { RequestMemory } from './request-memory.ts';
import type { Request } from './request.ts';

/** Requests of one connection that the device may work on at a time, and the bytes that they may carry together. */
const MAX_REQUESTS = 128;
const MAX_BYTES = 8 * 1024 * 1024;
/** What is written as zeros at a time. */
const ZERO_STEP_BYTES = 256 * 1024;

const ZEROS = new Uint8Array(ZERO_STEP_BYTES);

/** What has become of a request: an error of the protocol or 0, and what a READ has read, to be given back. */
export interface Finished {
  readonly request: Request;
  readonly startedAtMs: number;
  readonly error: number;
  readonly data: ReadData | null;
}

export interface UnderWayOptions {
  readonly device: BlockDevice;
  /** Writes data of which nothing is needed afterwards. */
  readonly writeInPlace: (offsetBytes: number, data: Uint8Array) => Maybe<void>;
  readonly isPoolLow: () => boolean;
  readonly memory: RequestMemory;
  readonly onFinished: (finished: Finished) => void;
  /** The device can never be used again. */
  readonly onLost: () => void;
}

/**
 * The requests of one connection on a device that works on many at a time. Each has memory of its own, which is left
 * alone until the device is through with it, whatever becomes of the connection.
 */
export class UnderWay {
  readonly #options: UnderWayOptions;
  #requests = 0;
  #bytes = 0;
  #settled = Promise.withResolvers<void>();

  constructor(options: UnderWayOptions) {
    this.#options = options;
    this.#settled.resolve();
  }

  get count(): number {
    return this.#requests;
  }

  /** Resolves once nothing is under way. */
  get settled(): Promise<void> {
    return this.#settled.promise;
  }

  /** Whether a request with so much data may be begun. A single one may be of any size. */
  hasRoom(lengthBytes: number): boolean {
    if (this.#requests === 0) return true;
    return this.#requests < MAX_REQUESTS && this.#bytes + lengthBytes <= MAX_BYTES;
  }

  /** Begins a READ. The request is its own from now on, here and below. */
  read(request: Request, startedAtMs: number): void {
    const { device, memory } = this.#options;
    const { offsetBytes, lengthBytes } = request;
    const data = memory.borrow(lengthBytes);
    const into = data.bytes.subarray(REPLY_ROOM_BYTES, REPLY_ROOM_BYTES + lengthBytes);
    const read = (): Maybe<void> => device.read(offsetBytes, into);
    void this.#run({ request, startedAtMs, data, carriedBytes: lengthBytes }, read);
  }

  /** Begins a WRITE of the beginning of a buffer, which it takes over. */
  write(request: Request, data: IoBuffer, startedAtMs: number): void {
    const { offsetBytes, lengthBytes } = request;
    const write = async (): Promise<void> => {
      await this.#checkRoom(request);
      await this.#options.writeInPlace(offsetBytes, data.bytes.subarray(0, lengthBytes));
    };
    void this.#run({ request, startedAtMs, data, carriedBytes: lengthBytes }, write);
  }

  /** Begins a WRITE of data that is the caller's. */
  writeCopy(request: Request, data: Uint8Array, startedAtMs: number): void {
    const own = this.#options.memory.borrow(request.lengthBytes);
    own.bytes.set(data);
    this.write(request, own, startedAtMs);
  }

  /** Begins TRIM, WRITE_ZEROES or CACHE. */
  change(request: Request, startedAtMs: number): void {
    void this.#run({ request, startedAtMs, data: null, carriedBytes: 0 }, () => this.#change(request));
  }

  async #run(
    work: { request: Request; startedAtMs: number; data: IoBuffer | null; carriedBytes: number },
    device: () => Maybe<void>,
  ): Promise<void> {
    const { request, startedAtMs, data, carriedBytes } = work;
    if (this.#requests === 0) this.#settled = Promise.withResolvers();
    this.#requests += 1;
    this.#bytes += carriedBytes;
    let error = 0;
    try {
      await device();
    } catch (failure) {
      error = errorNumber(failure);
      if (isSystemError(failure, 'ESHUTDOWN')) this.#options.onLost();
    }
    this.#requests -= 1;
    this.#bytes -= carriedBytes;
    const isAnswer = request.command === NBD_CMD.READ && error === 0;
    const { memory } = this.#options;
    if (data !== null && !isAnswer) memory.giveBack(data);
    const answer = data !== null && isAnswer ? { buffer: data, owner: memory } : null;
    this.#options.onFinished({ request, startedAtMs, error, data: answer });
    if (this.#requests === 0) this.#settled.resolve();
  }

  #change({ command, flags, offsetBytes, lengthBytes }: Request): Maybe<void> {
    const { device } = this.#options;
    const range = { offsetBytes, lengthBytes };
    if (command === NBD_CMD.CACHE) return undefined;
    if (command === NBD_CMD.TRIM) return device.discard(range);
    if ((flags & NBD_CMD_FLAG.NO_HOLE) === 0) return device.zero(range);
    return inPieces({ lengthBytes, pieceBytes: ZERO_STEP_BYTES }, async (from, pieceBytes) => {
      const piece = { offsetBytes: offsetBytes + from, lengthBytes: pieceBytes };
      await this.#checkRoom(piece);
      await device.write(piece.offsetBytes, ZEROS.subarray(0, pieceBytes));
    });
  }

  /** While the pool is low only what is taken already may be written. */
  async #checkRoom({ offsetBytes, lengthBytes }: Range): Promise<void> {
    if (!this.#options.isPoolLow()) return;
    const extents = await this.#options.device.extents({ offsetBytes, lengthBytes });
    if (extents.some(({ kind }) => kind === 'zero')) throw systemError('ENOSPC', 'write');
  }
}
