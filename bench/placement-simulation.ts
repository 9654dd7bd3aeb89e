import { DriveError } from '../src/core/errors.ts';
import { placeDrive } from '../src/core/placement.ts';
import type { AvoidedDrive, PlacementPool } from '../src/core/placement.ts';

// node bench/placement-simulation.ts [DRIVES] [DOMAINS] [NODES]: places drives as many nodes would, each with a view of
// what is promised that is up to a minute old, and tells how long a decision takes, how evenly the pools are filled and whether
// every `avoid` was kept. No drive is made.

const [drives = 100_000, domains = 1000, nodes = 10] = process.argv.slice(2).map(Number);
const GIB = 2 ** 30;
const POOL_BYTES = 16 * 1024 * GIB;
/** Decisions of all nodes between two looks of one node at what the others have placed: a minute at 100 a second. */
const LOOK_EVERY = 6000;
const AVOIDING_SHARE = 0.2;
const MAX_AVOIDED = 3;
const RECENT = 10_000;

/** A generator of numbers from 0 to 1 that is the same in every run (mulberry32). */
function seededRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const random = seededRandom(1);

/** Sizes from 1 GiB to 2 TiB, each power of two as likely as the next. */
function newSize(): number {
  return GIB * Math.floor(2 ** (random() * 11));
}

function newUuid(): string {
  const digits = Array.from({ length: 4 }, () =>
    Math.floor(random() * 2 ** 32)
      .toString(16)
      .padStart(8, '0'),
  ).join('');
  return digits.replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
}

type View = PlacementPool & { promisedBytes: number };

function newView(): View[] {
  return Array.from({ length: domains }, (_, index) => ({
    name: `pool${String(index).padStart(6, '0')}`,
    domain: `rack${Math.floor(index / 20)}/host${index}`,
    tier: null,
    isActive: true,
    totalBytes: POOL_BYTES,
    availableBytes: POOL_BYTES,
    promisedBytes: 0,
  }));
}

const truth = newView();
const indexOf = new Map(truth.map(({ name }, index) => [name, index]));
const views = Array.from({ length: nodes }, newView);
const recent: AvoidedDrive[] = [];
const times = new Float64Array(drives);
const tally = { avoiding: 0, refused: 0, broken: 0 };

function avoidedDrives(): AvoidedDrive[] {
  if (recent.length === 0 || random() >= AVOIDING_SHARE) return [];
  const count = 1 + Math.floor(random() * MAX_AVOIDED);
  return Array.from({ length: count }, () => recent[Math.floor(random() * recent.length)]).filter(
    (drive) => drive !== undefined,
  );
}

function domainOf(poolName: string): string | undefined {
  return truth[indexOf.get(poolName) ?? -1]?.domain;
}

function placeOne(number: number, view: View[]): void {
  const sizeBytes = newSize();
  const avoid = avoidedDrives();
  if (avoid.length > 0) tally.avoiding += 1;
  const startedAtMs = performance.now();
  try {
    const { name, domain } = placeDrive({ driveId: newUuid(), sizeBytes, tier: 'disk', avoid }, view);
    times[number] = performance.now() - startedAtMs;
    for (const pools of [view, truth]) {
      const pool = pools[indexOf.get(name) ?? -1];
      if (pool !== undefined) pool.promisedBytes += sizeBytes;
    }
    if (avoid.some((drive) => domainOf(drive.poolName) === domain)) tally.broken += 1;
    recent[number % RECENT] = { driveId: String(number), poolName: name };
  } catch (error) {
    if (!(error instanceof DriveError)) throw error;
    tally.refused += 1;
  }
}

for (let number = 0; number < drives; number += 1) {
  const node = number % nodes;
  const view = views[node] ?? truth;
  // Each node looks at another moment.
  if ((number + Math.floor((node * LOOK_EVERY) / nodes)) % LOOK_EVERY < nodes) {
    for (const [index, pool] of view.entries()) pool.promisedBytes = truth[index]?.promisedBytes ?? 0;
  }
  placeOne(number, view);
}

const shares = truth.map(({ promisedBytes, totalBytes }) => promisedBytes / totalBytes).sort((a, b) => a - b);
const mean = shares.reduce((sum, share) => sum + share, 0) / shares.length;
times.sort();
const at = (sorted: ArrayLike<number>, part: number): number =>
  sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? 0;
console.log(`${drives} drives on ${domains} pools, each a failure domain of its own, by ${nodes} nodes`);
console.log(
  `a decision: median ${(at(times, 0.5) * 1000).toFixed(1)} us, 99 % within ${(at(times, 0.99) * 1000).toFixed(1)} us`,
);
console.log(
  `fullest pool ${((at(shares, 1) / mean - 1) * 100).toFixed(2)} % over the mean, emptiest ${((1 - at(shares, 0) / mean) * 100).toFixed(2)} % under`,
);
console.log(
  `avoid: ${tally.avoiding} drives asked for it, ${tally.broken} broken, ${tally.refused} drives refused`,
);
