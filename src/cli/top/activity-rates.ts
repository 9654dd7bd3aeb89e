import { bytesOf, textOf, type Info } from '../api/api-client.ts';

/** What the server said of its drives at one time, by a clock that never goes back. */
export interface ActivityLook {
  readonly atMs: number;
  readonly infos: readonly Info[];
}

/** How fast and how slowly something was done. */
export interface Rate {
  readonly requestsPerSecond: number;
  readonly bytesPerSecond: number;
  /** The mean; null where nothing was done. */
  readonly latencyMs: number | null;
}

/** What was done to a drive between two looks, and `all` of it together. */
export interface DriveRates {
  readonly drive: string;
  readonly name: string | null;
  /** The owner; null where all drives are the caller's. */
  readonly user: string | null;
  readonly connections: number;
  readonly read: Rate;
  readonly write: Rate;
  readonly flush: Rate;
  readonly all: Rate;
}

export const TOP_ORDERS = ['iops', 'bytes', 'latency'] as const;
export type TopOrder = (typeof TOP_ORDERS)[number];

/**
 * Rates of every drive of the later look. The server's figures only grow, so a drive that was not there before, or
 * whose figures have gone down because the server has started anew or had forgotten it, began at nothing.
 */
export function ratesBetween(before: ActivityLook, after: ActivityLook): DriveRates[] {
  const seconds = Math.max(after.atMs - before.atMs, 1) / 1000;
  const earlier = new Map(before.infos.map((info) => [textOf(info, 'drive'), info]));
  return after.infos.map((info) => {
    const { read, write, flush } = growth(earlier.get(textOf(info, 'drive')), info);
    return {
      drive: textOf(info, 'drive') ?? '',
      name: textOf(info, 'name'),
      user: textOf(info, 'user'),
      connections: bytesOf(info, 'connections'),
      read: rateOf(read, seconds),
      write: rateOf(write, seconds),
      flush: rateOf(flush, seconds),
      all: rateOf(plus(plus(read, write), flush), seconds),
    };
  });
}

/** The most first; drives that are equal stay in the order of their UUIDs, so that they do not jump about. */
export function inOrder(rates: readonly DriveRates[], order: TopOrder): DriveRates[] {
  const height = HEIGHTS[order];
  return [...rates].sort(
    (one, other) => height(other.all) - height(one.all) || (one.drive < other.drive ? -1 : 1),
  );
}

const HEIGHTS: Readonly<Record<TopOrder, (rate: Rate) => number>> = {
  iops: ({ requestsPerSecond }) => requestsPerSecond,
  bytes: ({ bytesPerSecond }) => bytesPerSecond,
  latency: ({ latencyMs }) => latencyMs ?? -1,
};

interface Figures {
  readonly requests: number;
  readonly bytes: number;
  readonly us: number;
}

type Kind = 'read' | 'write' | 'flush';
type KindFigures = Readonly<Record<Kind, Figures>>;

function growth(before: Info | undefined, after: Info): KindFigures {
  const now = figuresOf(after);
  if (before === undefined) return now;
  const then = figuresOf(before);
  const grown: KindFigures = {
    read: plus(now.read, then.read, -1),
    write: plus(now.write, then.write, -1),
    flush: plus(now.flush, then.flush, -1),
  };
  return Object.values(grown).every(({ requests, bytes, us }) => Math.min(requests, bytes, us) >= 0)
    ? grown
    : now;
}

function figuresOf(info: Info): KindFigures {
  const figures = (kind: Kind): Figures => ({
    requests: bytesOf(info, `${kind}:requests`),
    bytes: kind === 'flush' ? 0 : bytesOf(info, `${kind}:bytes`),
    us: bytesOf(info, `${kind}:us`),
  });
  return { read: figures('read'), write: figures('write'), flush: figures('flush') };
}

function plus(one: Figures, other: Figures, times = 1): Figures {
  return {
    requests: one.requests + times * other.requests,
    bytes: one.bytes + times * other.bytes,
    us: one.us + times * other.us,
  };
}

function rateOf({ requests, bytes, us }: Figures, seconds: number): Rate {
  return {
    requestsPerSecond: requests / seconds,
    bytesPerSecond: bytes / seconds,
    latencyMs: requests === 0 ? null : us / requests / 1000,
  };
}
