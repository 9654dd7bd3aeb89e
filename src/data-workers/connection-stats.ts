/**
 * What a connection has done, in memory that its data thread writes and the main thread reads: bytes and requests, and
 * for each kind of request a histogram of how long it took.
 */
export const IO_KINDS = ['read', 'write', 'flush', 'other'] as const;
export type IoKind = (typeof IO_KINDS)[number];

/** Upper bounds of the histogram in seconds: powers of two from 16 µs to 8.4 s; what takes longer is in the last one. */
export const LATENCY_BOUNDS: readonly number[] = Array.from(
  { length: 20 },
  (_, index) => 2 ** (index + 4) / 1e6,
);

/** Words of a kind: requests, bytes, seconds in all, then the histogram. */
const HISTOGRAM = 3;
const WORDS = HISTOGRAM + LATENCY_BOUNDS.length;
export const CONNECTION_STATS_BYTES = IO_KINDS.length * WORDS * Float64Array.BYTES_PER_ELEMENT;

/** A data thread's end. */
export class StatsWriter {
  readonly #words: Float64Array;

  constructor(memory: SharedArrayBuffer) {
    this.#words = new Float64Array(memory);
  }

  count(kind: number, lengthBytes: number, seconds: number): void {
    const words = this.#words;
    const at = kind * WORDS;
    words[at] = (words[at] ?? 0) + 1;
    words[at + 1] = (words[at + 1] ?? 0) + lengthBytes;
    words[at + 2] = (words[at + 2] ?? 0) + seconds;
    const slot = at + HISTOGRAM + bucketOf(seconds);
    words[slot] = (words[slot] ?? 0) + 1;
  }
}

/** The first bucket whose bound is not below. */
function bucketOf(seconds: number): number {
  const us = Math.ceil(seconds * 1e6);
  if (us <= 16) return 0;
  const bucket = us > 2 ** 31 ? Infinity : 28 - Math.clz32(us - 1);
  return Math.min(bucket, LATENCY_BOUNDS.length - 1);
}

/** What was done of one kind. */
export interface KindStats {
  readonly requests: number;
  readonly bytes: number;
  readonly seconds: number;
  /** Requests by the bounds of `LATENCY_BOUNDS`, each counted once. */
  readonly histogram: readonly number[];
}

export type ConnectionStats = Readonly<Record<IoKind, KindStats>>;

/** The main thread's end. */
export function readStats(memory: SharedArrayBuffer): ConnectionStats {
  const words = new Float64Array(memory);
  const kinds = IO_KINDS.map((kind, index): [IoKind, KindStats] => {
    const [requests = 0, bytes = 0, seconds = 0, ...histogram] = words.slice(
      index * WORDS,
      (index + 1) * WORDS,
    );
    return [kind, { requests, bytes, seconds, histogram }];
  });
  return Object.fromEntries(kinds) as ConnectionStats;
}

export const NO_STATS = readStats(new SharedArrayBuffer(CONNECTION_STATS_BYTES));

export function addStats(one: ConnectionStats, other: ConnectionStats): ConnectionStats {
  return combine(one, other, (left, right) => left + right);
}

export function subtractStats(all: ConnectionStats, before: ConnectionStats): ConnectionStats {
  return combine(all, before, (left, right) => left - right);
}

function combine(
  one: ConnectionStats,
  other: ConnectionStats,
  join: (left: number, right: number) => number,
): ConnectionStats {
  const kinds = IO_KINDS.map((kind): [IoKind, KindStats] => {
    const [left, right] = [one[kind], other[kind]];
    return [
      kind,
      {
        requests: join(left.requests, right.requests),
        bytes: join(left.bytes, right.bytes),
        seconds: join(left.seconds, right.seconds),
        histogram: left.histogram.map((count, index) => join(count, right.histogram[index] ?? 0)),
      },
    ];
  });
  return Object.fromEntries(kinds) as ConnectionStats;
}
