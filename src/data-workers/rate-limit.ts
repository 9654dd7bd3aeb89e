/**
 * A drive's I/O limits, in memory that all threads share, so that all connections of the drive draw on one budget. Each
 * limit is a rate with a burst (the generic cell rate algorithm): a word holds the time until which the budget is
 * spent, in nanoseconds, and whoever takes from it moves that time on.
 */
export const RATE_LIMIT_BYTES = 48;

/** Words: the rate, and how far the spent time may be ahead, for requests and for bytes; then the two times. */
const REQUESTS = { rate: 0, aheadUs: 1, spent: 4 } as const;
const BYTES = { rate: 2, aheadUs: 3, spent: 5 } as const;
const US_PER_SECOND = 1e6;
const NS_PER_US = 1000;

/** A thread wakes late by some milliseconds; a burst that is shorter than that would cost part of the rate. */
const MIN_AHEAD_US = 20_000;

/** Rates a second and what may come at once; null is no limit. */
export interface RateLimits {
  readonly iops: number | null;
  readonly iopsBurst: number | null;
  readonly bytesPerSecond: number | null;
  readonly burstBytes: number | null;
}

/**
 * Puts limits into the memory that `RateLimit` reads. Where a limit has changed its budget is full again: what was spent
 * under another rate says nothing under this one.
 */
export function writeRateLimits(memory: SharedArrayBuffer, limits: RateLimits): void {
  writeLimit(memory, REQUESTS, { rate: limits.iops, burst: limits.iopsBurst });
  writeLimit(memory, BYTES, { rate: limits.bytesPerSecond, burst: limits.burstBytes });
}

function writeLimit(
  memory: SharedArrayBuffer,
  kind: typeof REQUESTS | typeof BYTES,
  limit: { rate: number | null; burst: number | null },
): void {
  const numbers = new Float64Array(memory, 0, 4);
  const [rate, ahead] = [limit.rate ?? 0, aheadUs(limit.rate, limit.burst)];
  if (numbers[kind.rate] === rate && numbers[kind.aheadUs] === ahead) return;
  numbers[kind.rate] = rate;
  numbers[kind.aheadUs] = ahead;
  Atomics.store(new BigInt64Array(memory), kind.spent, 0n);
}

function aheadUs(rate: number | null, burst: number | null): number {
  if (rate === null) return 0;
  return Math.max(MIN_AHEAD_US, ((burst ?? rate) / rate) * US_PER_SECOND);
}

/** The budget of one drive, as a thread uses it. */
export class RateLimit {
  readonly #limits: Float64Array;
  readonly #times: BigInt64Array;
  readonly #nowUs: () => number;

  /** @param nowUs the same clock in all threads */
  constructor(memory: SharedArrayBuffer, nowUs: () => number) {
    this.#limits = new Float64Array(memory, 0, 4);
    this.#times = new BigInt64Array(memory);
    this.#nowUs = nowUs;
  }

  /** Takes one request of so many bytes out of the budget, or says in how many milliseconds to try again. */
  take(lengthBytes: number): number {
    if (this.#limits[REQUESTS.rate] === 0 && this.#limits[BYTES.rate] === 0) return 0;
    const nowUs = this.#nowUs();
    const waitUs = Math.max(
      this.#waitUs(REQUESTS, nowUs, 1),
      // A request larger than the whole burst must pass some time: once the budget is full.
      this.#waitUs(BYTES, nowUs, lengthBytes),
    );
    if (waitUs > 0) return waitUs / 1000;
    this.#spend(REQUESTS, nowUs, 1);
    this.#spend(BYTES, nowUs, lengthBytes);
    return 0;
  }

  #waitUs(kind: typeof REQUESTS | typeof BYTES, nowUs: number, amount: number): number {
    const rate = this.#limits[kind.rate] ?? 0;
    if (rate === 0) return 0;
    const costUs = (amount / rate) * US_PER_SECOND;
    const spentUs = Math.max(nowUs, Number(Atomics.load(this.#times, kind.spent)) / NS_PER_US);
    const latestUs = nowUs + Math.max(this.#limits[kind.aheadUs] ?? 0, costUs);
    return Math.max(0, spentUs + costUs - latestUs);
  }

  #spend(kind: typeof REQUESTS | typeof BYTES, nowUs: number, amount: number): void {
    const rate = this.#limits[kind.rate] ?? 0;
    if (rate === 0) return;
    const cost = BigInt(Math.round((amount / rate) * US_PER_SECOND * NS_PER_US));
    const now = BigInt(Math.round(nowUs * NS_PER_US));
    for (;;) {
      const before = Atomics.load(this.#times, kind.spent);
      const base = before > now ? before : now;
      if (Atomics.compareExchange(this.#times, kind.spent, before, base + cost) === before) return;
    }
  }
}
