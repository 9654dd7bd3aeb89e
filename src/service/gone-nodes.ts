import type { Node } from '../core/node.ts';
import type { ServiceContext } from './service-context.ts';

type GoneContext = Pick<ServiceContext, 'node' | 'metadata' | 'pools' | 'poolOwners'>;

/** Nodes that have not been heard of for too long, and what they may still have under way in pools that others reach too. */
export interface GoneNodes {
  /**
   * Returns once nothing that these nodes have under way in the pool can change it any more.
   *
   * @throws DriveError system when the pool is inactive
   */
  fence(poolName: string, nodes: readonly Life[]): Promise<void>;
  /** Fences every node that is gone from all active pools that are nobody's. */
  fenceAll(): Promise<void>;
}

/** A node that was heard of last at that time. When it has been heard of again, it has begun anew in the pools. */
export type Life = Pick<Node, 'nodeId' | 'heartbeatAtMs' | 'hasEnded'>;

export function createGoneNodes({ node: self, metadata, pools, poolOwners }: GoneContext): GoneNodes {
  /** By pool and node, of which life. */
  const fenced = new Map<string, number>();

  async function fence(poolName: string, nodes: readonly Life[]): Promise<void> {
    for (const { nodeId, heartbeatAtMs, hasEnded } of nodes) {
      const key = `${poolName}/${nodeId}`;
      if (hasEnded || fenced.get(key) === heartbeatAtMs) continue;
      await pools.fence(poolName, nodeId);
      fenced.set(key, heartbeatAtMs);
    }
  }

  return {
    fence,
    async fenceAll() {
      const others = (await metadata.nodes.list()).filter(({ nodeId }) => nodeId !== self.nodeId);
      const gone = others.filter(({ state }) => state === 'gone');
      const names = pools.configs.map(({ spec }) => spec.name);
      const shared = names.filter(
        (poolName) => poolOwners.ownerOf(poolName) === null && pools.statusOf(poolName).isActive,
      );
      await Promise.all(shared.map((poolName) => fence(poolName, gone)));
    },
  };
}
