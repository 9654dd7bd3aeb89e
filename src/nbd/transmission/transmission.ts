import { FAILED, READABLE, WOULD_BLOCK, WRITABLE } from '../../runtime/socket-calls.ts';
import { StatsWriter } from '../../data-workers/connection-stats.ts';
import { MAX_REQUEST_BYTES } from '../limits.ts';
import { NBD_CMD, NBD_CMD_FLAG } from '../protocol-numbers.ts';
import { DeviceWork } from './device-work.ts';
import { LateReplies } from './late-replies.ts';
import { Output } from './output.ts';
import { Payload } from './payload.ts';
import { Receiver } from './receiver.ts';
import { SHORT_REPLY_BYTES } from './reply-format.ts';
import { checkRequest, hasPayload } from './request-check.ts';
import { Request, requestHeaderBytes } from './request.ts';
import type { EndReason, TransmissionOptions } from './transmission-options.ts';
import { UnderWay } from './under-way.ts';
import type { Finished } from './under-way.ts';

/** What a piece of work has come to: more can be done, or the client, room in the output or the end is next. */
type Step = 'go-on' | 'wait' | 'full' | 'leave' | 'ended';

const NO_BYTES: Buffer = Buffer.alloc(0);
/** Requests that may wait for a flush at a time; a client with more is read no further. */
const MAX_DEFERRED = 256;
/** How long a request waits before the budget is asked again, which may have been raised meanwhile. */
const MAX_THROTTLE_MS = 50;
/** Rounds of one turn, after which other connections get theirs. */
const ROUNDS = 64;
/** From here on the data of writes is received straight into its own buffer, not together with other requests. */
const LARGE_WRITE_BYTES = 16 * 1024;

/**
 * One connection in the transmission phase, served by a data thread: requests are done one after the other as they come,
 * replies are collected and sent together. Only flushes are answered out of order: they wait elsewhere. Where the device
 * answers with promises, many requests are under way, and each is answered when it is done.
 */
export class Transmission {
  readonly #options: TransmissionOptions;
  readonly #request = new Request();
  readonly #headerBytes: number;
  readonly #output: Output;
  readonly #receiver: Receiver;
  readonly #payload: Payload;
  readonly #work: DeviceWork;
  readonly #stats: StatsWriter;
  /** Requests that were received and not looked at yet, between two turns. */
  #saved = NO_BYTES;
  #deferred = 0;
  readonly #late: LateReplies;
  readonly #underWay: UnderWay | null;
  /** Whether the request at hand waits for others to be done. */
  #isHeldUp = false;
  #isTurnDue = false;
  #mayReceive = true;
  #expectsLargeWrite = false;
  #interest = READABLE;
  #isThrottled = false;
  /** Whether the request at hand has been taken out of the budget, though there was no room for its reply yet. */
  #isAdmitted = false;
  /** Why the connection will end once everything that was asked for has been answered. */
  #leaving: EndReason | null = null;
  /** Whether no further request is begun, because the connection is to go on elsewhere. */
  #isReleasing = false;
  #hasEnded = false;

  constructor(options: TransmissionOptions, leftover: Uint8Array) {
    this.#options = options;
    this.#headerBytes = requestHeaderBytes(options.rules.isExtended);
    this.#output = new Output(options.loop.calls, options.descriptor, options.buffers);
    this.#receiver = new Receiver(options.loop.calls, options.descriptor, leftover);
    this.#payload = new Payload(this.#receiver, options.buffers, options.memory);
    this.#stats = new StatsWriter(options.stats);
    this.#work = new DeviceWork({ ...options, output: this.#output, stats: this.#stats });
    const { memory } = options;
    this.#late = new LateReplies(this.#output, options.form);
    const onFinished = (finished: Finished): void => this.#finish(finished);
    // Its server connects again, and gets a device that can be used, if its claim is what it was.
    const onLost = (): void => this.end('cut');
    this.#underWay = memory === null ? null : new UnderWay({ ...options, memory, onFinished, onLost });
  }

  /** The socket is ready for what it is watched for. Also called once at the beginning, for what had come before. */
  onReady(): void {
    // Without being asked for, the system tells only that a socket is broken, and goes on telling.
    if (this.#interest === 0) this.end('connection-lost');
    else this.#goOn();
  }

  onDeadline(): void {
    this.#isThrottled = false;
    this.#goOn();
  }

  /** Resolves when the device is through with everything that was asked of it. */
  get settled(): Promise<void> {
    return this.#underWay?.settled ?? Promise.resolve();
  }

  /** Ends the connection; not one byte of the drive changes through it once it is settled. */
  end(reason: EndReason): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    this.#options.loop.setDeadline(this, null);
    this.#output.release();
    this.#payload.release();
    this.#late.release();
    this.#options.onEnd(reason);
  }

  /** Begins no further request, and ends as `released` once what was begun is done and answered. */
  release(): void {
    if (this.#hasEnded) return;
    this.#isReleasing = true;
    this.#isThrottled = false;
    this.#goOn();
  }

  /** What the client has sent that was not looked at; of use after the end as `released`. */
  leftover(): Uint8Array {
    return Buffer.concat([this.#saved, this.#receiver.leftover]);
  }

  #goOn(): void {
    if (this.#hasEnded) return;
    const outcome = this.#turn();
    if (outcome !== 'ended') this.#watch(outcome);
  }

  /** Does what can be done without waiting; says what to wait for. */
  #turn(): 'readable' | 'writable' | 'later' | 'ended' {
    for (let round = 0; round < ROUNDS; round += 1) {
      this.#late.add();
      const step = this.#isThrottled ? 'full' : this.#step();
      if (step === 'ended') return 'ended';
      if (step === 'go-on') continue;
      const sent = this.#send();
      if (sent !== 'sent') return sent;
      // There is room for them now.
      if (!this.#late.isEmpty) continue;
      if (step === 'leave') return this.#leave();
      if (step === 'wait') return 'readable';
      if (this.#isThrottled || this.#isHeldUp || this.#deferred >= MAX_DEFERRED) return 'later';
    }
    this.#options.loop.setDeadline(this, performance.now());
    const sent = this.#send();
    return sent === 'sent' ? 'later' : sent;
  }

  /** One piece of work: of the request at hand, or the next requests. */
  #step(): Step {
    if (this.#work.isBusy) return this.#continueWork();
    if (this.#payload.isPending) return this.#receivePayload();
    if (this.#leaving !== null || this.#isReleasing) return 'leave';
    if (this.#isHeldUp || this.#deferred >= MAX_DEFERRED) return 'full';
    return this.#receiveRequests();
  }

  /** Ends the connection, but for requests that wait for a flush or for the device. */
  #leave(): 'later' | 'ended' {
    if (this.#deferred > 0 || (this.#underWay?.count ?? 0) > 0) return 'later';
    this.end(this.#leaving ?? 'released');
    return 'ended';
  }

  #continueWork(): Step {
    const outcome = this.#work.continue();
    if (outcome !== 'broken') return outcome;
    this.end('cut');
    return 'ended';
  }

  #send(): 'sent' | 'writable' | 'ended' {
    switch (this.#output.send()) {
      case 'sent':
        return 'sent';
      case 'blocked':
        return 'writable';
      case 'broken':
        this.end('connection-lost');
        return 'ended';
    }
  }

  #watch(outcome: 'readable' | 'writable' | 'later'): void {
    const interest = outcome === 'readable' ? READABLE : outcome === 'writable' ? WRITABLE : 0;
    if (interest === this.#interest) return;
    this.#interest = interest;
    this.#options.loop.modify(this.#options.descriptor, interest);
  }

  #receivePayload(): Step {
    switch (this.#payload.receive()) {
      case 'more':
        return 'go-on';
      case 'wait':
        return 'wait';
      case 'left':
        this.#payload.release();
        this.#leaving = 'client-left';
        return 'go-on';
      case 'lost':
        this.end('connection-lost');
        return 'ended';
      case 'complete':
        this.#finishWrite();
        return 'go-on';
    }
  }

  #finishWrite(): void {
    const { request, error, startedAtMs, data } = this.#payload.finish();
    if (data === null) this.#answerChange(request, error, startedAtMs);
    else this.#underWay?.write(request, data, startedAtMs);
  }

  #receiveRequests(): Step {
    const { input } = this.#options.buffers;
    const saved = this.#saved.byteLength;
    if (saved > 0) input.bytes.set(this.#saved);
    let end = saved;
    if (saved < this.#headerBytes) {
      if (!this.#mayReceive && !this.#receiver.hasLeftover) return 'wait';
      const most = this.#expectsLargeWrite ? this.#headerBytes : input.lengthBytes;
      const received = this.#receiver.receive(input, saved, most);
      if (received === WOULD_BLOCK) return 'wait';
      if (received === FAILED) {
        this.end('connection-lost');
        return 'ended';
      }
      if (received === 0) {
        this.#leaving = 'client-left';
        return 'go-on';
      }
      end += received;
    }
    const { at, outcome } = this.#doRequests(end);
    if (outcome === 'ended') return 'ended';
    this.#saved = at === end ? NO_BYTES : Buffer.from(input.bytes.subarray(at, end));
    return outcome;
  }

  /** Does the requests that are in the input, up to `end`; says where it stopped, and why. */
  #doRequests(end: number): { at: number; outcome: Step } {
    const { input } = this.#options.buffers;
    const startedAtMs = performance.now();
    let at = 0;
    while (end - at >= this.#headerBytes) {
      if (!this.#request.read(input.numbers, at, this.#options.rules.isExtended)) return this.#refuse(at);
      const done = this.#doRequest(at + this.#headerBytes, end, startedAtMs);
      if (done === 'ended' || done === 'full') return { at, outcome: done };
      // What a client sends after it has taken its leave is not looked at.
      if (done === 'leave') return { at: end, outcome: 'go-on' };
      at = done;
      this.#isAdmitted = false;
      if (this.#work.isBusy || this.#payload.isPending) return { at, outcome: 'go-on' };
    }
    // A short read has emptied the socket, most likely: the replies are not kept waiting for another try.
    const hasMore = this.#expectsLargeWrite || this.#receiver.hasLeftover;
    return { at, outcome: hasMore ? 'go-on' : 'wait' };
  }

  #refuse(at: number): { at: number; outcome: 'ended' } {
    this.end('bad-request');
    return { at, outcome: 'ended' };
  }

  /** Does one request, whose data begins at `at`; says where the next one begins. */
  #doRequest(at: number, end: number, startedAtMs: number): number | 'full' | 'leave' | 'ended' {
    const request = this.#request;
    const { rules, limit } = this.#options;
    const carriesData = hasPayload(request, rules);
    if (carriesData && request.lengthBytes > MAX_REQUEST_BYTES) {
      this.end('bad-request');
      return 'ended';
    }
    // Room for a short reply is there before anything is done.
    if (this.#output.room(SHORT_REPLY_BYTES) === null || this.#deferred >= MAX_DEFERRED) return 'full';
    const error = checkRequest(request, rules);
    if (error === 0 && !this.#isAdmitted && request.command !== NBD_CMD.DISC) {
      const waitMs = limit.take(request.transferBytes);
      if (waitMs > 0) return this.#throttle(waitMs);
      this.#isAdmitted = true;
    }
    if (this.#underWay?.hasRoom(request.transferBytes) === false) {
      this.#isHeldUp = true;
      return 'full';
    }
    if (carriesData) return this.#beginWrite(at, end, { error, startedAtMs });
    this.#expectsLargeWrite = false;
    if (error !== 0) {
      this.#answer(request, error);
      return at;
    }
    switch (request.command) {
      case NBD_CMD.READ:
        if (this.#underWay === null) return this.#work.read(request, startedAtMs) ? at : 'full';
        this.#underWay.read(request.copy(), startedAtMs);
        return at;
      case NBD_CMD.BLOCK_STATUS:
        return this.#late.isEmpty && this.#work.blockStatus(request) ? at : 'full';
      case NBD_CMD.FLUSH:
        this.#deferFlush(request, startedAtMs);
        return at;
      case NBD_CMD.DISC:
        this.#leaving = 'disconnected';
        return 'leave';
      default:
        if (this.#underWay === null)
          this.#work.change(request, (changeError) => this.#answerChange(request, changeError, startedAtMs));
        else this.#underWay.change(request.copy(), startedAtMs);
        return at;
    }
  }

  #throttle(waitMs: number): 'full' {
    this.#isThrottled = true;
    this.#options.loop.setDeadline(this, performance.now() + Math.min(waitMs, MAX_THROTTLE_MS));
    return 'full';
  }

  #beginWrite(
    at: number,
    end: number,
    { error, startedAtMs }: { error: number; startedAtMs: number },
  ): number {
    const request = this.#request;
    const { input } = this.#options.buffers;
    this.#expectsLargeWrite = request.lengthBytes >= LARGE_WRITE_BYTES;
    if (end - at >= request.lengthBytes) {
      const data = input.bytes.subarray(at, at + request.lengthBytes);
      if (this.#underWay !== null && error === 0) {
        this.#underWay.writeCopy(request.copy(), data, startedAtMs);
        return at + request.lengthBytes;
      }
      const outcome = error === 0 ? this.#work.write(request.offsetBytes, data) : error;
      this.#answerChange(request, outcome, startedAtMs);
      return at + request.lengthBytes;
    }
    this.#payload.begin(request.copy(), { error, startedAtMs, work: this.#work });
    this.#payload.add(input.bytes.subarray(at, end));
    return end;
  }

  /** Answers a request that changes the drive: at once, or with FUA once the change is durable. */
  #answerChange(request: Request, error: number, startedAtMs: number): void {
    const isWrite = request.command === NBD_CMD.WRITE;
    const bytes = isWrite && error === 0 ? request.lengthBytes : 0;
    this.#stats.count(isWrite ? WRITE_KIND : OTHER_KIND, bytes, seconds(startedAtMs));
    if (error === 0 && (request.flags & NBD_CMD_FLAG.FUA) !== 0) this.#deferFlush(request, startedAtMs);
    else this.#answer(request, error);
  }

  #deferFlush(request: Request, startedAtMs: number): void {
    const own = request.copy();
    this.#deferred += 1;
    this.#options.flush((error) => {
      this.#deferred -= 1;
      this.#stats.count(FLUSH_KIND, 0, seconds(startedAtMs));
      if (this.#hasEnded) return;
      this.#late.push({ request: own, error, data: null });
      // Sent with the next turn, which this one asks for.
      this.#options.loop.setDeadline(this, performance.now());
    });
  }

  /** Takes note of what the device has done. */
  #finish({ request, startedAtMs, error, data }: Finished): void {
    this.#isHeldUp = false;
    if (request.command !== NBD_CMD.READ) this.#answerChange(request, error, startedAtMs);
    else {
      if (error === 0) this.#stats.count(READ_KIND, request.lengthBytes, seconds(startedAtMs));
      this.#late.push({ request, error, data });
    }
    if (this.#hasEnded) this.#late.release();
    else if (!this.#isTurnDue) {
      this.#isTurnDue = true;
      // What is finished together is answered together.
      queueMicrotask(() => {
        this.#isTurnDue = false;
        // Of requests that have come the loop tells, which costs less than another look at the socket.
        this.#mayReceive = false;
        this.#goOn();
        this.#mayReceive = true;
      });
    }
  }

  #answer(request: Request, error: number): void {
    // In their order: data of another reply may be half added.
    if (!this.#hasEnded && this.#late.isEmpty && this.#late.addOutcome(request, error)) return;
    this.#late.push({ request: request.copy(), error, data: null });
  }
}

const READ_KIND = 0;
const WRITE_KIND = 1;
const FLUSH_KIND = 2;
const OTHER_KIND = 3;

function seconds(startedAtMs: number): number {
  return (performance.now() - startedAtMs) / 1000;
}
