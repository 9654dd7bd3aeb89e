import { addressOf } from '../runtime/memory-address.ts';
import { EPOLL_DATA_OFFSET, EPOLL_EVENT_BYTES, loadSocketCalls, READABLE } from '../runtime/socket-calls.ts';
import type { SocketCalls } from '../runtime/socket-calls.ts';

/** Something that has a socket to serve. Both are called from `wait`, and may add and remove sockets. */
export interface SocketTask {
  /** The socket is ready for what it is watched for, or broken. */
  onReady(): void;
  /** The time that was asked for has come. */
  onDeadline(): void;
}

/** What a thread waits for: sockets, deadlines, and other threads that signal it. */
export interface SocketLoop {
  readonly calls: SocketCalls;
  /** Watches a socket for `interest` (READABLE, WRITABLE or both) until `remove`. */
  add(descriptor: number, interest: number, task: SocketTask): void;
  modify(descriptor: number, interest: number): void;
  /** Forgets a socket, before it is closed. */
  remove(descriptor: number): void;
  /** Has `onDeadline` called once, at this time of `performance.now()`; null for never. */
  setDeadline(task: SocketTask, atMs: number | null): void;
  /** Waits until a socket is ready, a deadline has come or the signal is given, and serves them. */
  wait(): void;
}

const MAX_EVENTS = 64;
/** How long a thread looks for the next event before it sleeps, and how short a sleep shows that looking would have paid. */
const BUSY_MS = 0.05;
const SHORT_SLEEP_MS = 0.1;

/**
 * @param signal a descriptor of `newSignal`, by which other threads end a wait
 * @param looksFirst whether answering takes so little time that the next event is worth looking for before sleeping
 */
export function createSocketLoop(signal: number, looksFirst = true): SocketLoop {
  return new EpollLoop(signal, looksFirst);
}

class EpollLoop implements SocketLoop {
  readonly calls = loadSocketCalls();
  readonly #epoll = this.calls.newEpoll();
  readonly #signal: number;
  readonly #looksFirst: boolean;
  readonly #tasks = new Map<number, SocketTask>();
  /** Whether the next event is likely to come at once. */
  #isBusy = false;
  readonly #deadlines = new Map<SocketTask, number>();
  readonly #events = new DataView(new SharedArrayBuffer(MAX_EVENTS * EPOLL_EVENT_BYTES));
  readonly #eventSpan = {
    address: addressOf(this.#events.buffer as SharedArrayBuffer),
    lengthBytes: MAX_EVENTS * EPOLL_EVENT_BYTES,
  };

  constructor(signal: number, looksFirst: boolean) {
    this.#signal = signal;
    this.#looksFirst = looksFirst;
    this.calls.watch(this.#epoll, signal, { operation: 'add', interest: READABLE });
  }

  add(descriptor: number, interest: number, task: SocketTask): void {
    this.calls.watch(this.#epoll, descriptor, { operation: 'add', interest });
    this.#tasks.set(descriptor, task);
  }

  modify(descriptor: number, interest: number): void {
    this.calls.watch(this.#epoll, descriptor, { operation: 'modify', interest });
  }

  remove(descriptor: number): void {
    if (!this.#tasks.delete(descriptor)) return;
    this.calls.watch(this.#epoll, descriptor, { operation: 'remove', interest: 0 });
  }

  setDeadline(task: SocketTask, atMs: number | null): void {
    if (atMs === null) this.#deadlines.delete(task);
    else this.#deadlines.set(task, atMs);
  }

  wait(): void {
    const timeoutMs = this.#timeoutMs();
    const early = timeoutMs === 0 ? 0 : this.#lookBeforeSleeping();
    const count = early > 0 ? early : this.#sleep(timeoutMs);
    for (let index = 0; index < count; index += 1) {
      const descriptor = this.#events.getUint32(index * EPOLL_EVENT_BYTES + EPOLL_DATA_OFFSET, true);
      if (descriptor === this.#signal) this.calls.clearSignal(descriptor);
      else this.#tasks.get(descriptor)?.onReady();
    }
    if (this.#deadlines.size > 0) this.#serveDeadlines();
  }

  /**
   * Looks again and again for a moment: a client that has just been answered asks again sooner than this thread could be
   * woken up. Not after it was in vain, until a sleep turns out to have been short.
   */
  #lookBeforeSleeping(): number {
    if (!this.#isBusy) return 0;
    const untilMs = performance.now() + BUSY_MS;
    do {
      const count = this.calls.epollWait(this.#epoll, this.#eventSpan, 0);
      if (count > 0) return count;
    } while (performance.now() < untilMs);
    this.#isBusy = false;
    return 0;
  }

  #sleep(timeoutMs: number): number {
    const sinceMs = performance.now();
    const count = this.calls.epollWait(this.#epoll, this.#eventSpan, timeoutMs);
    this.#isBusy = this.#looksFirst && performance.now() - sinceMs < SHORT_SLEEP_MS;
    return count;
  }

  #timeoutMs(): number {
    if (this.#deadlines.size === 0) return -1;
    const earliest = Math.min(...this.#deadlines.values());
    return Math.max(0, Math.ceil(earliest - performance.now()));
  }

  #serveDeadlines(): void {
    const nowMs = performance.now();
    for (const [task, atMs] of this.#deadlines) {
      if (atMs > nowMs) continue;
      this.#deadlines.delete(task);
      task.onDeadline();
    }
  }
}
