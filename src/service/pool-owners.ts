import { nodeName } from '../core/node.ts';
import type { Node, NodePool } from '../core/node.ts';
import type { MetadataStore } from '../metadata/metadata-store.ts';

/** A pool of another node, and that node. */
export type OtherPool = NodePool & { readonly node: Node };

/** Which pools belong to other nodes, as of the last look. */
export interface PoolOwners {
  refresh(): Promise<void>;
  /** The pool, when it belongs to another node; null otherwise. */
  find(poolName: string): OtherPool | null;
  list(): readonly OtherPool[];
  /** The UUID of the node that the pool belongs to, which may be this one; null when it is nobody's. */
  ownerOf(poolName: string): string | null;
  /** Why this node cannot reach a pool that is not configured here. */
  reasonOf(poolName: string): string;
}

export function createPoolOwners(
  metadata: Pick<MetadataStore, 'nodes'>,
  { nodeId }: { readonly nodeId: string },
): PoolOwners {
  let pools = new Map<string, OtherPool>();
  let owners = new Map<string, string>();
  return {
    async refresh() {
      const [nodes, all] = await Promise.all([metadata.nodes.list(), metadata.nodes.listPools()]);
      owners = new Map(all.map((pool) => [pool.poolName, pool.nodeId]));
      const others = all.flatMap((pool): readonly OtherPool[] => {
        const node = nodes.find((each) => each.nodeId === pool.nodeId && each.nodeId !== nodeId);
        return node === undefined ? [] : [{ ...pool, node }];
      });
      pools = new Map(others.map((pool) => [pool.poolName, pool]));
    },
    find: (poolName) => pools.get(poolName) ?? null,
    list: () => [...pools.values()],
    ownerOf: (poolName) => owners.get(poolName) ?? null,
    reasonOf(poolName) {
      const pool = pools.get(poolName);
      if (pool === undefined) return `Pool ${poolName} is not configured.`;
      return pool.node.state === 'gone'
        ? `Pool ${poolName} belongs to ${nodeName(pool.node)}, which is gone: start that node.`
        : `Pool ${poolName} belongs to ${nodeName(pool.node)}: ask that node.`;
    },
  };
}
