import type { PlacementPool, PoolView } from '../core/placement.ts';
import type { Pools } from '../data-workers/pools.ts';
import type { MetadataStore } from '../metadata/metadata-store.ts';
import type { OtherPool, PoolOwners } from './pool-owners.ts';

/** What is promised in each pool, as placement needs to know it: nearly right, and cheap to ask for. */
export interface PoolLoads {
  /** Every pool as a place for one more drive. Asked outside of transactions. */
  places(): Promise<readonly PlacementPool[]>;
  /** Counts a drive that is being placed, so that those placed at the same time see it. */
  add(poolName: string, sizeBytes: number): void;
}

export interface PoolLoadsOptions {
  readonly metadata: Pick<MetadataStore, 'drives'>;
  readonly pools: Pick<Pools, 'views'>;
  readonly poolOwners: Pick<PoolOwners, 'list'>;
  readonly now: () => number;
  readonly reportFailure: (error: unknown, doing: string) => void;
}

/** To add up the drives of all pools costs time with their number. In between, only what this process places is counted. */
const FRESH_MS = 60_000;

export function createPoolLoads(options: PoolLoadsOptions): PoolLoads {
  const { metadata, pools, poolOwners, now } = options;
  let promised = new Map<string, number>();
  let readAtMs = -Infinity;
  let reading: Promise<void> | null = null;

  async function read(): Promise<void> {
    const usage = await metadata.drives.usageByPool();
    promised = new Map([...usage].map(([poolName, { sizeBytes }]) => [poolName, sizeBytes]));
    readAtMs = now();
  }

  function readOnce(): Promise<void> {
    reading ??= read().finally(() => {
      reading = null;
    });
    return reading;
  }

  return {
    async places() {
      // The first one waits; later ones do with what is known while it is read anew.
      if (readAtMs === -Infinity) await readOnce();
      else if (now() - readAtMs > FRESH_MS) {
        readOnce().catch((error: unknown) =>
          options.reportFailure(error, 'adding up the drives of each pool'),
        );
      }
      const views = [...pools.views(), ...poolOwners.list().map(viewOfOther)];
      return views.map((view) => ({ ...view, promisedBytes: promised.get(view.name) ?? 0 }));
    },
    add(poolName, sizeBytes) {
      promised.set(poolName, (promised.get(poolName) ?? 0) + sizeBytes);
    },
  };
}

/** A pool of another node takes no drive of this one's, but drives may have to avoid those in it. */
function viewOfOther({ poolName, domain }: OtherPool): PoolView {
  return { name: poolName, domain, tier: null, isActive: false, totalBytes: 0, availableBytes: 0 };
}
