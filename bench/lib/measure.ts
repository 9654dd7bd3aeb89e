/** One line of the table: ours beside the peer's, measured in turn in the same run. */
export interface Row {
  readonly work: string;
  readonly unit: string;
  readonly ours: readonly number[];
  readonly peerName: string;
  readonly peer: readonly number[];
  /** `higher`: more is better, and the ratio is ours to the peer's; `lower`: the other way round. */
  readonly better: 'higher' | 'lower';
  /** What the ratio has to reach; null when there is no bound. */
  readonly target: number | null;
  readonly note?: string;
}

/** A benchmark: one subject, a few rows. */
export interface Benchmark {
  readonly name: string;
  run(context: BenchContext): Promise<readonly Row[]>;
}

export interface BenchContext {
  /** Directory on disk for this benchmark, empty. */
  readonly diskDirectory: string;
  /** Directory in memory for this benchmark, empty. */
  readonly memoryDirectory: string;
  /** How many times each side is measured. */
  readonly runs: number;
  readonly log: (line: string) => void;
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((one, other) => one - other);
  const middle = Math.floor(sorted.length / 2);
  const [low, high] = [sorted[Math.ceil(sorted.length / 2) - 1], sorted[middle]];
  if (low === undefined || high === undefined) throw new Error('There is no median of nothing.');
  return (low + high) / 2;
}

/** How many times better ours is than the peer's, of the medians. */
export function ratio(row: Row): number {
  const [ours, peer] = [median(row.ours), median(row.peer)];
  return row.better === 'higher' ? ours / peer : peer / ours;
}

/** Measures the two sides in turn, so that a machine that slows down slows both; the first turn is not counted. */
export async function inTurn(
  runs: number,
  sides: { ours: () => Promise<number>; peer: () => Promise<number> },
): Promise<{ ours: number[]; peer: number[] }> {
  const figures: { ours: number[]; peer: number[] } = { ours: [], peer: [] };
  for (let run = -1; run < runs; run += 1) {
    const ours = await sides.ours();
    const peer = await sides.peer();
    if (run < 0) continue;
    figures.ours.push(ours);
    figures.peer.push(peer);
  }
  return figures;
}

/** Seconds that the work takes. */
export async function secondsOf(work: () => Promise<unknown>): Promise<number> {
  const startedAtMs = performance.now();
  await work();
  return (performance.now() - startedAtMs) / 1000;
}
