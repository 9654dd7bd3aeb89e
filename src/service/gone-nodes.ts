import type { Node } from '../core/node.ts';
import type { ServiceContext } from './service-context.ts';

type GoneContext = Pick<ServiceContext, 'node' | 'metadata' | 'pools' | 'poolOwners'>;

/**
 * Nodes that have not been heard of for too long, or do not do what they are told, and what they may still have under way in
 * pools that others reach too.
 */
export interface GoneNodes {
  /** Nodes that are there but have not heeded a notice for too long, with that notice: as long as it is open they hang. */
  readonly hanging: Map<string, string>;
  /**
   * Returns once nothing that these nodes have under way in the pool can change it any more.
   *
   * @throws DriveError system when the pool is inactive
   */
  fence(poolName: string, nodes: readonly Life[]): Promise<void>;
  /** Fences every node that is gone from all active pools that are nobody's. */
  fenceAll(): Promise<void>;
}

/**
 * A node that was heard of last at that time. One that is gone does nothing more in this life: when it has been heard of
 * again, it has begun anew in the pools.
 */
export type Life = Pick<Node, 'nodeId' | 'state' | 'heartbeatAtMs' | 'hasEnded'>;

export function createGoneNodes({ node: self, metadata, pools, poolOwners }: GoneContext): GoneNodes {
  /** By pool and node that is gone, of which life. */
  const fenced = new Map<string, number>();

  async function fence(poolName: string, nodes: readonly Life[]): Promise<void> {
    for (const { nodeId, state, heartbeatAtMs, hasEnded } of nodes) {
      const key = `${poolName}/${nodeId}`;
      if (hasEnded || fenced.get(key) === heartbeatAtMs) continue;
      await pools.fence(poolName, nodeId);
      if (state === 'gone') fenced.set(key, heartbeatAtMs);
    }
  }

  return {
    hanging: new Map(),
    fence,
    async fenceAll() {
      const others = (await metadata.nodes.list()).filter(({ nodeId }) => nodeId !== self.nodeId);
      const gone = others.filter((other) => self.takesForGone(other));
      const names = pools.configs.map(({ spec }) => spec.name);
      const shared = names.filter(
        (poolName) => poolOwners.ownerOf(poolName) === null && pools.statusOf(poolName).isActive,
      );
      await Promise.all(shared.map((poolName) => fence(poolName, gone)));
    },
  };
}
