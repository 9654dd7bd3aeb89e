import { setTimeout as sleep } from 'node:timers/promises';
import type { ServedAttachment } from './stored-volumes.ts';
import type { AttachedConnection } from './volumes.ts';

/** How long a client may take to take its replies before its drive moves without it. */
const HALT_MS = 5_000;

export interface MovableConnectionOptions {
  /** Has a thread of the drive's present pool serve the connection, which has sent this already. */
  readonly attach: (leftover: Uint8Array) => ServedAttachment;
  /** What to wait for, and then to look again, while the drive may not be changed; null while it may. */
  readonly pauseOf: () => Promise<void> | null;
  readonly leftover: Uint8Array;
}

/** An NBD connection that goes from thread to thread as its drive moves; its client notices only that it waits. */
export class MovableConnection implements AttachedConnection {
  readonly ended: Promise<string>;
  readonly #options: MovableConnectionOptions;
  #served: ServedAttachment | null = null;
  #isDetached = false;

  constructor(options: MovableConnectionOptions) {
    this.#options = options;
    this.ended = this.#serve();
    // Whoever serves it looks at how it ends.
    this.ended.catch(() => undefined);
  }

  /** Takes it from the thread that serves it, until its drive may be changed again; a client that keeps it waiting is cut. */
  async halt(): Promise<void> {
    const served = this.#served;
    if (served === null) return;
    const waiting = new AbortController();
    const isOver = served.ended.then(
      () => true,
      () => true,
    );
    const isLate = sleep(HALT_MS, false, { signal: waiting.signal }).catch(() => false);
    await served.release();
    if (!(await Promise.race([isOver, isLate]))) await served.detach();
    waiting.abort();
  }

  async detach(): Promise<void> {
    this.#isDetached = true;
    await this.#served?.detach();
    await this.ended.catch(() => undefined);
  }

  async #serve(): Promise<string> {
    const { pauseOf, attach } = this.#options;
    let { leftover } = this.#options;
    for (;;) {
      // Nothing may come between the last look and being served.
      for (let pause = pauseOf(); pause !== null; pause = pauseOf()) await pause;
      if (this.#isDetached) return 'cut';
      this.#served = attach(leftover);
      const end = await this.#served.ended.finally(() => {
        this.#served = null;
      });
      if (end.reason !== 'released') return end.reason;
      ({ leftover } = end);
    }
  }
}
