import type { PoolRoom } from '../storage-pool.ts';

/** What `ceph df detail` says of one pool, as far as it is needed; bytes as clients see them, without replicas. */
interface PoolStats {
  readonly stored: number;
  readonly max_avail: number;
  /** 0 without a quota. */
  readonly quota_bytes: number;
}

/**
 * The room of a pool as the cluster's statistics tell it.
 *
 * @param json what the monitors answer to `df` with `detail`
 * @throws Error when they do not know the pool
 */
export function roomOf(json: string, cephPool: string): PoolRoom {
  const { pools } = JSON.parse(json) as { pools: readonly { name: string; stats: PoolStats }[] };
  const stats = pools.find(({ name }) => name === cephPool)?.stats;
  if (stats === undefined) throw new Error(`Ceph's statistics have no pool ${cephPool}.`);
  const { stored, max_avail: availableBytes, quota_bytes: quotaBytes } = stats;
  if (quotaBytes === 0) return { totalBytes: stored + availableBytes, freeBytes: availableBytes };
  const freeBytes = Math.max(0, Math.min(availableBytes, quotaBytes - stored));
  return { totalBytes: Math.max(freeBytes, Math.min(stored + availableBytes, quotaBytes)), freeBytes };
}
