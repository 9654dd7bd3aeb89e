import { chain } from '../../blockdev/maybe.ts';
import type { BlockDevice } from '../../blockdev/block-device.ts';
import { memoryDevice } from '../../blockdev/memory/memory-device.ts';
import { CONNECTION_STATS_BYTES } from '../../data-workers/connection-stats.ts';
import { RATE_LIMIT_BYTES, RateLimit } from '../../data-workers/rate-limit.ts';
import { createSocketLoop } from '../../data-workers/socket-loop.ts';
import { addressOf } from '../../runtime/memory-address.ts';
import { loadSocketCalls, READABLE, WOULD_BLOCK } from '../../runtime/socket-calls.ts';
import { NBD_CMD } from '../protocol-numbers.ts';
import { encodeRequest, ReplyReader } from '../scratch-requests.ts';
import type { Awaited, Form, ReceivedReply, SentRequest } from '../scratch-requests.ts';
import { IoBuffers, TRANSMISSION_BYTES } from './io-buffers.ts';
import type { RequestMemory } from './request-memory.ts';
import { Transmission } from './transmission.ts';
import type { EndReason } from './transmission-options.ts';

/** What connections of tests share: a loop that runs when it is told to, and the memory of a thread. */
export class ScratchThread {
  readonly calls = loadSocketCalls();
  readonly signal = this.calls.newSignal();
  readonly loop = createSocketLoop(this.signal);
  readonly buffers = newBuffers();

  /** Runs the loop until the condition holds; throws after so many rounds without. */
  until(isMet: () => boolean, rounds = 20_000): void {
    for (let round = 0; round < rounds; round += 1) {
      if (isMet()) return;
      this.turn();
    }
    throw new Error('Nothing has come of it.');
  }

  turn(): void {
    // A wait that would last is ended at once.
    this.calls.signal(this.signal);
    this.loop.wait();
  }
}

function newBuffers(): IoBuffers {
  const buffer = new SharedArrayBuffer(TRANSMISSION_BYTES);
  return new IoBuffers({
    buffer,
    offsetBytes: 0,
    address: addressOf(buffer),
    lengthBytes: TRANSMISSION_BYTES,
  });
}

export const SCRATCH_BYTES = 64 * 2 ** 20;

export function scratchMemory(sizeBytes = SCRATCH_BYTES, capacityBytes = 2 ** 30): BlockDevice {
  return memoryDevice({ sizeBytes, pages: new Map() }, { capacityBytes, usedBytes: 0 });
}

export interface ScratchSettings {
  readonly form?: Form;
  readonly device?: BlockDevice;
  /** For a device that answers with promises. */
  readonly memory?: RequestMemory;
  readonly isReadOnly?: boolean;
  readonly hasContext?: boolean;
  readonly leftover?: Uint8Array;
  readonly isPoolLow?: () => boolean;
  readonly limit?: RateLimit;
}

const SCRATCH_IO_BYTES = 2 ** 20;
/** Turns after which a client that is not reading gives in. */
const MAX_BLOCKED = 50;

/** A connection over a pair of sockets, both ends of which are in this thread. */
export class ScratchConnection {
  readonly form: Form;
  readonly thread: ScratchThread;
  readonly stats = new SharedArrayBuffer(CONNECTION_STATS_BYTES);
  readonly transmission: Transmission;
  /** Flushes that have been wished for; calling one says that it has been done, or failed. */
  readonly flushes: ((error: number) => void)[] = [];
  readonly awaited = new Map<number, Awaited>();
  readonly replies = new Map<number, ReceivedReply>();
  /** Cookies in the order of their answers. */
  readonly order: number[] = [];
  endReason: EndReason | null = null;
  isClosed = false;
  /** Whether replies are taken without being looked at. */
  ignoresReplies = false;
  readonly #reader: ReplyReader;
  readonly #client: number;
  readonly #server: number;
  readonly #memory = new SharedArrayBuffer(SCRATCH_IO_BYTES);
  readonly #bytes = Buffer.from(this.#memory);
  readonly #address = addressOf(this.#memory);
  #lastCookie = 0;
  #hasLeft = false;

  constructor(thread: ScratchThread, settings: ScratchSettings = {}) {
    const { form = 'simple', device = scratchMemory(), hasContext = form !== 'simple' } = settings;
    this.thread = thread;
    this.form = form;
    this.#reader = new ReplyReader(form, this.awaited);
    [this.#client, this.#server] = thread.calls.newPair();
    this.transmission = new Transmission(
      {
        descriptor: this.#server,
        loop: thread.loop,
        buffers: thread.buffers,
        device,
        memory: settings.memory ?? null,
        writeInPlace: (offsetBytes, data) =>
          chain(device.write(offsetBytes, data), () => {
            // As a cipher does it.
            data.fill(0xdb);
          }),
        rules: {
          sizeBytes: device.sizeBytes,
          isReadOnly: settings.isReadOnly ?? false,
          isExtended: form === 'extended',
          hasStructuredReplies: form !== 'simple',
          hasContext,
        },
        form,
        contextId: hasContext ? 7 : null,
        limit: settings.limit ?? new RateLimit(new SharedArrayBuffer(RATE_LIMIT_BYTES), () => 0),
        stats: this.stats,
        isPoolLow: settings.isPoolLow ?? (() => false),
        flush: (done) => this.flushes.push(done),
        onEnd: (reason) => this.#end(reason),
      },
      settings.leftover ?? new Uint8Array(),
    );
    thread.loop.add(this.#server, READABLE, this.transmission);
    this.transmission.onReady();
  }

  /** The bytes of a request, whose answer is expected from now on; with its cookie. */
  encode(request: Omit<SentRequest, 'cookie'>): Buffer {
    this.#lastCookie += 1;
    const { offsetBytes = 0, lengthBytes = request.data?.byteLength ?? 0 } = request;
    const command = typeof request.command === 'number' ? request.command : NBD_CMD[request.command];
    this.awaited.set(this.#lastCookie, { command, offsetBytes, lengthBytes });
    return encodeRequest(this.form, { ...request, cookie: this.#lastCookie });
  }

  get lastCookie(): number {
    return this.#lastCookie;
  }

  /**
   * Sends bytes, taking replies meanwhile, or only once the server takes nothing more before it has got rid of some.
   * Stops early when the server has ended.
   */
  send(bytes: Uint8Array, isReading = true): void {
    let blocked = 0;
    for (let at = 0; at < bytes.byteLength && this.endReason === null;) {
      const part = bytes.subarray(at, at + SCRATCH_IO_BYTES);
      this.#bytes.set(part);
      const span = { address: this.#address, lengthBytes: part.byteLength };
      const sent = this.thread.calls.send(this.#client, span, false);
      if (sent > 0) at += sent;
      else if (sent !== WOULD_BLOCK) return;
      blocked = sent > 0 ? 0 : blocked + 1;
      this.thread.turn();
      if (isReading || blocked > MAX_BLOCKED) this.take();
    }
  }

  /** Takes what the server has sent. */
  take(mostBytes = SCRATCH_IO_BYTES): void {
    if (this.isClosed) return;
    const received = this.thread.calls.receive(this.#client, {
      address: this.#address,
      lengthBytes: mostBytes,
    });
    if (received === WOULD_BLOCK) return;
    if (received <= 0) {
      this.isClosed = true;
      return;
    }
    if (this.ignoresReplies) return;
    for (const reply of this.#reader.take(Buffer.from(this.#bytes.subarray(0, received)))) {
      this.replies.set(reply.cookie, reply);
      this.order.push(reply.cookie);
    }
  }

  /** The answer to one request. */
  ask(request: Omit<SentRequest, 'cookie'>): ReceivedReply {
    const bytes = this.encode(request);
    const cookie = this.lastCookie;
    this.send(bytes);
    return this.reply(cookie);
  }

  reply(cookie: number): ReceivedReply {
    this.thread.until(() => {
      this.take();
      return this.replies.has(cookie);
    });
    const reply = this.replies.get(cookie);
    if (reply === undefined) throw new Error('There is no reply.');
    return reply;
  }

  /** Runs the loop until the server has ended the connection, and says why. */
  untilEnded(): EndReason | null {
    this.thread.until(() => {
      this.take();
      return this.endReason !== null;
    });
    return this.endReason;
  }

  /** The client goes away, if it has not yet. */
  close(): void {
    if (this.#hasLeft) return;
    this.#hasLeft = true;
    this.thread.calls.shutdown(this.#client);
    this.thread.calls.close(this.#client);
    this.isClosed = true;
  }

  #end(reason: EndReason): void {
    this.endReason = reason;
    this.thread.loop.remove(this.#server);
    this.thread.calls.shutdown(this.#server);
    this.thread.calls.close(this.#server);
  }
}
