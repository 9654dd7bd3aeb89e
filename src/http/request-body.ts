import type { DriveError } from '../core/errors.ts';
import type { IncomingBody, SocketInput } from '../service/service.ts';
import type { BodyFlow } from './body-flow.ts';
import { usage } from './error-table.ts';
import type { HttpLimits } from './limits.ts';

/** Tells the time for rates and durations. */
export interface HttpClock {
  nowMs(): number;
}

/** What a body is held to. */
export interface BodyRules {
  readonly clock: HttpClock;
  readonly limits: HttpLimits;
}

/** The body of one request, of which not a byte is asked for before somebody wants it. */
export class RequestBody implements IncomingBody {
  readonly #flow: BodyFlow;
  readonly #rules: BodyRules;
  readonly #queue: Uint8Array[] = [];
  #queuedBytes = 0;
  #receivedBytes = 0;
  #waitedMs = 0;
  #failure: DriveError | null = null;
  #isStarted = false;
  #hasEnded = false;
  #wake = (): void => undefined;

  constructor(flow: BodyFlow, rules: BodyRules) {
    this.#flow = flow;
    this.#rules = rules;
  }

  /** As the request declares it; 0 when it has none or does not say. */
  get lengthBytes(): number {
    return this.#flow.lengthBytes ?? 0;
  }

  /** Bytes taken from the client so far. */
  get receivedBytes(): number {
    return this.#receivedBytes;
  }

  /** Why the body ended before its end, once it did. */
  get failure(): DriveError | null {
    return this.#failure;
  }

  /** Whether the request has a body at all. */
  hasBytes(): boolean {
    return this.#flow.lengthBytes !== 0;
  }

  /** Whether bytes of the body are still to come. */
  isUnread(): boolean {
    return this.hasBytes() && !this.#hasEnded && !this.#flow.isComplete();
  }

  takeSocket(): SocketInput | null {
    const socket = this.#isStarted ? null : this.#flow.takeSocket();
    if (socket === null) return null;
    return {
      ...socket,
      giveBack: (readBytes) => {
        this.#receivedBytes += socket.received.byteLength + readBytes;
        socket.giveBack(readBytes);
      },
    };
  }

  /** The body, once; ends early, with `failure` set, when the client stops, breaks it or is too slow. */
  async *chunks(): AsyncGenerator<Uint8Array> {
    this.#start();
    while (this.#failure === null) {
      const chunk = this.#queue.shift();
      if (chunk !== undefined) {
        this.#queuedBytes -= chunk.length;
        yield chunk;
      } else if (this.#hasEnded) {
        return;
      } else {
        await this.#awaitProgress();
      }
    }
  }

  /** Ends the body early: nothing more will come of it. */
  fail(failure: DriveError): void {
    if (!this.#hasEnded) this.#failure ??= failure;
    this.#wake();
  }

  /** Takes and drops what comes of the body, up to limits, so that the client gets to see its answer. */
  async drain(): Promise<void> {
    const { limits } = this.#rules;
    // A client that waits for `100 Continue` has sent nothing that could stand in the way of its answer.
    if (this.#failure !== null || (this.#flow.isAwaited && !this.#isStarted)) return;
    const untilBytes = this.#receivedBytes + limits.drainBytes;
    const deadline = setTimeout(() => this.fail(endedEarly()), limits.drainTimeoutMs);
    this.#start();
    while (!this.#isOver() && this.#receivedBytes < untilBytes) {
      this.#queue.length = 0;
      this.#queuedBytes = 0;
      await this.#awaitAny();
    }
    clearTimeout(deadline);
    this.#flow.pause();
  }

  #isOver(): boolean {
    return this.#hasEnded || this.#failure !== null;
  }

  #start(): void {
    if (this.#isStarted) return;
    this.#isStarted = true;
    this.#flow.start({
      onChunk: (chunk) => this.#receive(chunk),
      onEnd: () => {
        this.#hasEnded = true;
        this.#wake();
      },
      onFailure: () => this.fail(endedEarly()),
    });
  }

  #receive(chunk: Buffer): void {
    this.#receivedBytes += chunk.length;
    this.#queuedBytes += chunk.length;
    this.#queue.push(chunk);
    if (this.#queuedBytes > this.#rules.limits.bodyBufferBytes) this.#flow.pause();
    this.#wake();
  }

  async #awaitAny(): Promise<void> {
    this.#flow.resume();
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
  }

  /** Waits for the client, and fails the body when that takes too long or the client has been too slow over all. */
  async #awaitProgress(): Promise<void> {
    const { clock, limits } = this.#rules;
    const sinceMs = clock.nowMs();
    const idle = setTimeout(() => this.fail(tooSlow(limits)), limits.bodyIdleTimeoutMs);
    await this.#awaitAny();
    clearTimeout(idle);
    // Only waiting counts: a body that is not asked for because its consumer is slow is not the client's fault.
    this.#waitedMs += clock.nowMs() - sinceMs;
    const leastBytes = (this.#waitedMs / 1000) * limits.bodyBytesPerSecond;
    if (this.#waitedMs > limits.bodyGraceMs && this.#receivedBytes < leastBytes) this.fail(tooSlow(limits));
  }
}

function endedEarly(): DriveError {
  return usage('The body ended before its end.');
}

function tooSlow(limits: HttpLimits): DriveError {
  return usage(
    `The body came too slowly: nothing for ${limits.bodyIdleTimeoutMs / 1000} seconds, ` +
      `or less than ${limits.bodyBytesPerSecond} bytes a second.`,
  );
}
