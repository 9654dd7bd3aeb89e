import { setTimeout as delay } from 'node:timers/promises';

/** Time, passed in wherever logic depends on it. */
export interface Clock {
  /** Milliseconds since 1970. */
  nowMs(): number;
  /** Milliseconds that never go back; only differences mean anything. */
  monotonicMs(): number;
  /** Returns after the delay, or as soon as the signal is aborted; never throws. */
  sleep(delayMs: number, signal?: AbortSignal): Promise<void>;
}

export const systemClock: Clock = {
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  sleep: (delayMs, signal) =>
    delay(delayMs, undefined, signal === undefined ? {} : { signal }).catch(() => undefined),
};
