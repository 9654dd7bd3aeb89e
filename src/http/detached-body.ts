import type { SocketInput } from '../service/service.ts';

/** What a body that stayed behind needs of its connection. */
interface BodyChannel {
  descriptor(): number | null;
  read(): void;
  stop(): void;
  onComplete(): void;
}

/** Who wants the chunks of a body. */
export interface BodyConsumer {
  onChunk(chunk: Buffer): void;
  onEnd(): void;
  /** It will never be complete. */
  onFailure(): void;
}

/** The body of a write, of which nothing has been read but what came together with the head. */
export class DetachedBody {
  readonly lengthBytes: number;
  /** Whether the exchange that it belongs to knows of it. */
  isTaken = false;
  readonly #channel: BodyChannel;
  #received: Buffer[] = [];
  #leftBytes: number;
  #consumer: BodyConsumer | null = null;
  #hasFailed = false;
  #isLent = false;

  constructor(lengthBytes: number, channel: BodyChannel) {
    this.lengthBytes = lengthBytes;
    this.#leftBytes = lengthBytes;
    this.#channel = channel;
  }

  /** Whether all of it has been received. */
  get isComplete(): boolean {
    return this.#leftBytes === 0;
  }

  /** Whether it is being read chunk by chunk. */
  get isRead(): boolean {
    return this.#consumer !== null && !this.#isLent;
  }

  /** Receives what has come of the body; answers how much of it belongs to the body. */
  receive(chunk: Buffer): number {
    const length = Math.min(chunk.byteLength, this.#leftBytes);
    this.#leftBytes -= length;
    const part = chunk.subarray(0, length);
    if (this.#consumer === null) this.#received.push(part);
    else this.#consumer.onChunk(part);
    this.#endIfComplete();
    return length;
  }

  /** Hands out the body chunk by chunk from here on. */
  start(consumer: BodyConsumer): void {
    this.#consumer = consumer;
    for (const chunk of this.#received.splice(0)) consumer.onChunk(chunk);
    if (this.#hasFailed) consumer.onFailure();
    else if (this.isComplete) consumer.onEnd();
    else this.#channel.read();
  }

  pause(): void {
    if (!this.isComplete) this.#channel.stop();
  }

  resume(): void {
    if (!this.isComplete && !this.#isLent) this.#channel.read();
  }

  /** Lends the socket itself; null when the connection is gone or somebody reads chunks already. */
  lend(): SocketInput | null {
    const descriptor = this.#channel.descriptor();
    if (descriptor === null || this.#consumer !== null || this.#hasFailed || this.isComplete) return null;
    this.#isLent = true;
    const chunks = this.#received.splice(0);
    // Mostly there is one: copied, it would be as much again for the collector to do.
    const received = chunks.length === 1 && chunks[0] !== undefined ? chunks[0] : Buffer.concat(chunks);
    return {
      descriptor,
      received,
      giveBack: (readBytes) => {
        this.#isLent = false;
        this.#leftBytes -= readBytes;
        this.#endIfComplete();
      },
    };
  }

  fail(): void {
    if (this.isComplete || this.#hasFailed) return;
    this.#hasFailed = true;
    this.#consumer?.onFailure();
  }

  #endIfComplete(): void {
    if (!this.isComplete) return;
    this.#channel.onComplete();
    this.#consumer?.onEnd();
  }
}
