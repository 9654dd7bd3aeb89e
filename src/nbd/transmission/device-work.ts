import type { BlockDevice, Maybe, Range } from '../../blockdev/block-device.ts';
import { GIB, MIB } from '../../core/sizes.ts';
import { NBD_CMD, NBD_CMD_FLAG, NBD_ERROR, NBD_STATE } from '../protocol-numbers.ts';
import { errorNumber } from './device-error.ts';
import { IO_BUFFER_BYTES } from './io-buffers.ts';
import type { Output } from './output.ts';
import {
  dataHeaderBytes,
  SHORT_REPLY_BYTES,
  statusReplyBytes,
  writeDataHeader,
  writeOutcome,
  writeStatus,
} from './reply-format.ts';
import type { ReplyForm, StatusExtent } from './reply-format.ts';
import type { Request } from './request.ts';

/** The data of one reply that does not fit into a buffer is sent in parts of this many bytes. */
const STREAM_BYTES = 512 * 1024;
/** What is given back at a time, and what is written as zeros at a time, before other connections get their turn. */
const HOLE_STEP_BYTES = GIB;
const ZERO_STEP_BYTES = 256 * 1024;
/** What one BLOCK_STATUS looks at, and the most extents that it answers. */
const STATUS_RANGE_BYTES = GIB;
const STATUS_STEP_BYTES = 64 * MIB;
const MAX_EXTENTS = 4096;

const ZEROS = new Uint8Array(ZERO_STEP_BYTES);

/** Counts what was done; see `StatsWriter`. */
export interface WorkStats {
  count(kind: number, lengthBytes: number, seconds: number): void;
}

export interface DeviceWorkOptions {
  readonly device: BlockDevice;
  /** Writes data of which nothing is needed afterwards. */
  readonly writeInPlace: (offsetBytes: number, data: Uint8Array) => Maybe<void>;
  readonly form: ReplyForm;
  readonly contextId: number | null;
  readonly output: Output;
  readonly stats: WorkStats;
  readonly isPoolLow: () => boolean;
}

/** A request that takes several turns. */
type Job =
  | { readonly kind: 'read'; readonly request: Request; readonly startedAtMs: number; doneBytes: number }
  | {
      readonly kind: 'change';
      readonly request: Request;
      readonly done: (error: number) => void;
      doneBytes: number;
    };

/** Counters' kind of a read; see `IO_KINDS`. */
const READ_KIND = 0;

/** What requests do to the device, and the replies that carry more than an outcome. */
export class DeviceWork {
  readonly #options: DeviceWorkOptions;
  readonly #headerBytes: number;
  #job: Job | null = null;

  constructor(options: DeviceWorkOptions) {
    this.#options = options;
    this.#headerBytes = dataHeaderBytes(options.form);
  }

  /** Whether a request is being worked on; then no other may be begun. */
  get isBusy(): boolean {
    return this.#job !== null;
  }

  /** Reads into the reply; false, with nothing done, when the output has no room for it at the moment. */
  read(request: Request, startedAtMs: number): boolean {
    const { output, device, form, stats } = this.#options;
    const { offsetBytes, lengthBytes } = request;
    const replyBytes = this.#headerBytes + lengthBytes;
    if (replyBytes > IO_BUFFER_BYTES) {
      this.#job = { kind: 'read', request: request.copy(), startedAtMs, doneBytes: 0 };
      return true;
    }
    const buffer = output.room(Math.max(replyBytes, SHORT_REPLY_BYTES));
    if (buffer === null) return false;
    const start = output.end;
    const data = writeDataHeader(buffer.numbers, start, {
      form,
      request,
      offsetBytes,
      lengthBytes,
      isLast: true,
    });
    try {
      now(device.read(offsetBytes, buffer.bytes.subarray(data, data + lengthBytes)));
    } catch (error) {
      this.#answerReadError(request, error);
      return true;
    }
    output.extendTo(data + lengthBytes);
    stats.count(READ_KIND, lengthBytes, (performance.now() - startedAtMs) / 1000);
    return true;
  }

  /** Writes data, of which nothing is needed afterwards; returns the error to answer, or 0. */
  write(offsetBytes: number, data: Uint8Array): number {
    return this.#write(offsetBytes, data, this.#options.writeInPlace);
  }

  /** Begins TRIM, WRITE_ZEROES or CACHE; `done` is called with the error to answer, at once or from `continue`. */
  change(request: Request, done: (error: number) => void): void {
    if (request.command === NBD_CMD.CACHE) {
      done(0);
      return;
    }
    const keepsSpace = (request.flags & NBD_CMD_FLAG.NO_HOLE) !== 0;
    if (keepsSpace && (request.flags & NBD_CMD_FLAG.FAST_ZERO) !== 0) {
      done(NBD_ERROR.ENOTSUP);
      return;
    }
    this.#job = { kind: 'change', request: request.copy(), done, doneBytes: 0 };
    this.#continueChange(this.#job);
  }

  /** Answers BLOCK_STATUS; false when the output has no room for it at the moment. */
  blockStatus(request: Request): boolean {
    const { output, form, contextId } = this.#options;
    const buffer = output.room(statusReplyBytes(form, MAX_EXTENTS));
    if (buffer === null) return false;
    try {
      const extents = this.#extents(request);
      const reply = { form, request, contextId: contextId ?? 0, extents };
      output.extendTo(writeStatus(buffer.numbers, output.end, reply));
    } catch (error) {
      this.#answerReadError(request, error);
    }
    return true;
  }

  /** Goes on with the request at hand. `broken`: its reply cannot be completed any more. */
  continue(): 'go-on' | 'full' | 'broken' {
    const job = this.#job;
    if (job === null) return 'go-on';
    if (job.kind === 'read') return this.#continueRead(job);
    this.#continueChange(job);
    return 'go-on';
  }

  #continueRead(job: Job & { kind: 'read' }): 'go-on' | 'full' | 'broken' {
    const { request, startedAtMs, doneBytes } = job;
    const { output, device, form, stats } = this.#options;
    // A reply of one piece has one header, and no place for an error after it.
    const isOnePiece = form === 'simple' || (request.flags & NBD_CMD_FLAG.DF) !== 0;
    const hasHeader = doneBytes === 0 || !isOnePiece;
    const lengthBytes = Math.min(STREAM_BYTES, request.lengthBytes - doneBytes);
    const isLast = doneBytes + lengthBytes === request.lengthBytes;
    const replyBytes = (hasHeader ? this.#headerBytes : 0) + lengthBytes;
    const buffer = output.room(Math.max(replyBytes, SHORT_REPLY_BYTES));
    if (buffer === null) return 'full';
    const offsetBytes = request.offsetBytes + doneBytes;
    const header = isOnePiece ? { lengthBytes: request.lengthBytes, isLast: true } : { lengthBytes, isLast };
    const data = hasHeader
      ? writeDataHeader(buffer.numbers, output.end, { form, request, offsetBytes, ...header })
      : output.end;
    try {
      now(device.read(offsetBytes, buffer.bytes.subarray(data, data + lengthBytes)));
    } catch (error) {
      this.#job = null;
      if (isOnePiece && doneBytes > 0) return 'broken';
      this.#answerReadError(request, error);
      return 'go-on';
    }
    output.extendTo(data + lengthBytes);
    job.doneBytes += lengthBytes;
    if (!isLast) return 'go-on';
    this.#job = null;
    stats.count(READ_KIND, request.lengthBytes, (performance.now() - startedAtMs) / 1000);
    return 'go-on';
  }

  #continueChange(job: Job & { kind: 'change' }): void {
    const { request, done } = job;
    const isWritten =
      request.command === NBD_CMD.WRITE_ZEROES && (request.flags & NBD_CMD_FLAG.NO_HOLE) !== 0;
    const stepBytes = isWritten ? ZERO_STEP_BYTES : HOLE_STEP_BYTES;
    const range = {
      offsetBytes: request.offsetBytes + job.doneBytes,
      lengthBytes: Math.min(stepBytes, request.lengthBytes - job.doneBytes),
    };
    const error = isWritten ? this.#writeZeros(range) : this.#giveBack(request.command, range);
    job.doneBytes += range.lengthBytes;
    if (error === 0 && job.doneBytes < request.lengthBytes) return;
    this.#job = null;
    done(error);
  }

  #writeZeros({ offsetBytes, lengthBytes }: Range): number {
    const { device } = this.#options;
    return this.#write(offsetBytes, ZEROS.subarray(0, lengthBytes), (at, data) => device.write(at, data));
  }

  #write(offsetBytes: number, data: Uint8Array, write: DeviceWorkOptions['writeInPlace']): number {
    try {
      if (this.#options.isPoolLow() && !this.#isTaken(offsetBytes, data.byteLength)) return NBD_ERROR.ENOSPC;
      now(write(offsetBytes, data));
      return 0;
    } catch (error) {
      return errorNumber(error);
    }
  }

  #giveBack(command: number, range: Range): number {
    const { device } = this.#options;
    try {
      now(command === NBD_CMD.TRIM ? device.discard(range) : device.zero(range));
      return 0;
    } catch (error) {
      return errorNumber(error);
    }
  }

  /** Looks at a part of the range at a time, for where data and holes alternate there are more than can be answered. */
  #extents({ flags, offsetBytes, lengthBytes }: Request): readonly StatusExtent[] {
    const most = (flags & NBD_CMD_FLAG.REQ_ONE) === 0 ? MAX_EXTENTS : 1;
    const end = offsetBytes + Math.min(lengthBytes, STATUS_RANGE_BYTES);
    const found: { lengthBytes: number; flags: number }[] = [];
    for (let at = offsetBytes; at < end; at += STATUS_STEP_BYTES) {
      const range = { offsetBytes: at, lengthBytes: Math.min(STATUS_STEP_BYTES, end - at) };
      for (const extent of now(this.#options.device.extents(range))) {
        const state = extent.kind === 'zero' ? NBD_STATE.HOLE | NBD_STATE.ZERO : 0;
        const last = found.at(-1);
        if (last?.flags === state) last.lengthBytes += extent.lengthBytes;
        else if (found.length === most) return found;
        else found.push({ lengthBytes: extent.lengthBytes, flags: state });
      }
    }
    return found;
  }

  #isTaken(offsetBytes: number, lengthBytes: number): boolean {
    const extents = now(this.#options.device.extents({ offsetBytes, lengthBytes }));
    return extents.every(({ kind }) => kind === 'data');
  }

  /** In place of the reply that was begun at the output's end. Room for it is there. */
  #answerReadError(request: Request, error: unknown): void {
    const { output, form } = this.#options;
    const buffer = output.room(SHORT_REPLY_BYTES);
    if (buffer === null) throw new Error('There is no room for an error.');
    const reply = { form, request, error: errorNumber(error), mustBeChunk: true };
    output.extendTo(writeOutcome(buffer.numbers, output.end, reply));
  }
}

/** The result of a device that does not answer with promises. */
function now<Result>(result: Maybe<Result>): Result {
  if (result instanceof Promise) throw new Error('This device answers with promises.');
  return result;
}
