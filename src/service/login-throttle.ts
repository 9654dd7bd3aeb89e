import type { Login } from './authenticate.ts';

/**
 * Slows down whoever fails to log in, by user and by address: each failure of late makes the next answer later. Right
 * credentials are never slowed, so nobody can lock a user out. Failures of one user from one address that come while very
 * many of them wait are answered at once, because each that waits takes memory.
 */
export interface LoginThrottle {
  /** Counts a failure and resolves when it may be answered. */
  delayFailure(login: Login): Promise<void>;
}

/** Failures that are answered at once; people mistype. */
const FREE_FAILURES = 3;
const FIRST_DELAY_MS = 100;
const LONGEST_DELAY_MS = 5_000;
/** A failure counts for this long. */
const MEMORY_MS = 60_000;
/** Failures of one user from one address that may wait at a time. */
const MAX_WAITING = 16;
/** Users and addresses that are remembered; beyond that the oldest are forgotten. */
const MAX_REMEMBERED = 10_000;

interface Failures {
  count: number;
  lastAtMs: number;
}

export function createLoginThrottle(options: {
  now: () => number;
  sleep: (delayMs: number) => Promise<void>;
}): LoginThrottle {
  const failures = new Map<string, Failures>();
  const waiting = new Map<string, number>();
  const pairOf = ({ userId, address }: Login): string => `${address} ${userId}`;

  function countFailure(name: string): number {
    const nowMs = options.now();
    const known = failures.get(name);
    const count = known === undefined || nowMs - known.lastAtMs > MEMORY_MS ? 1 : known.count + 1;
    failures.delete(name);
    failures.set(name, { count, lastAtMs: nowMs });
    const [oldest] = failures.keys();
    if (failures.size > MAX_REMEMBERED && oldest !== undefined) failures.delete(oldest);
    return count;
  }

  return {
    async delayFailure(login) {
      const count = Math.max(countFailure(`user ${login.userId}`), countFailure(`address ${login.address}`));
      const pair = pairOf(login);
      if (count <= FREE_FAILURES || (waiting.get(pair) ?? 0) >= MAX_WAITING) return;
      waiting.set(pair, (waiting.get(pair) ?? 0) + 1);
      await options.sleep(Math.min(LONGEST_DELAY_MS, FIRST_DELAY_MS * 2 ** (count - FREE_FAILURES - 1)));
      const left = (waiting.get(pair) ?? 1) - 1;
      if (left === 0) waiting.delete(pair);
      else waiting.set(pair, left);
    },
  };
}
