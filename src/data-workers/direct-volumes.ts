import type { DirectName, DirectPlace } from '../blockdev/direct-access.ts';
import type { DataThreadClient } from './data-thread-client.ts';
import type { Pools } from './pools.ts';
import type { StoredVolume } from './volume.ts';

/**
 * `DirectAccess` of each pool, by the pools' own data threads.
 *
 * Errors: DriveError `system` while the pool is inactive; otherwise those of the operating system, unchanged.
 */
export interface DirectVolumes {
  /** Whether volumes of this pool can be reached past Drivebay. */
  isPossibleIn(poolName: string): boolean;
  offer(volume: NamedVolume): Promise<DirectPlace>;
  withdraw(volume: NamedVolume): Promise<readonly string[]>;
  keepOut(
    poolName: string,
    request: { readonly addresses: readonly string[]; readonly exceptNodes: readonly string[] },
  ): Promise<number>;
  reclaim(volume: StoredVolume): Promise<void>;
}

export type NamedVolume = DirectName & StoredVolume;

export function createDirectVolumes(pools: Pools): DirectVolumes {
  const threadOf = (poolName: string): DataThreadClient => pools.threadsOf(poolName).leastBusy();
  return {
    isPossibleIn: (poolName) =>
      pools.configs.some(({ spec }) => spec.name === poolName && spec.kind === 'rbd'),
    offer: async ({ poolName, volumeName, epoch }) =>
      await threadOf(poolName).call('offer', { volumeName, epoch }),
    withdraw: async ({ poolName, volumeName, epoch }) =>
      await threadOf(poolName).call('withdraw', { volumeName, epoch }),
    keepOut: async (poolName, request) => await threadOf(poolName).call('keepOut', request),
    async reclaim({ poolName, volumeName }) {
      await threadOf(poolName).call('reclaim', { volumeName });
    },
  };
}
