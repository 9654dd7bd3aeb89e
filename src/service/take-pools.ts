import { nodeName } from '../core/node.ts';
import type { Node, NodePool } from '../core/node.ts';
import type { Pools } from '../data-workers/pools.ts';
import type { MetadataStore, MetadataTransaction } from '../metadata/metadata-store.ts';

/** A configured pool that can belong to one node only. */
export type TakenPool = Pick<NodePool, 'poolName' | 'domain'>;

export interface TakePoolsRequest {
  readonly nodeId: string;
  readonly pools: readonly TakenPool[];
}

const RULE = 'A directory pool belongs to one node.';

/**
 * Makes pools this node's that are nobody's, before they are opened, and lets go of those that it has no more.
 *
 * @throws Error with a sentence for the operator when one of them belongs to another node that is running
 */
export async function takePools(metadata: MetadataStore, request: TakePoolsRequest): Promise<void> {
  await metadata.transaction(async (tx) => {
    const { owners } = await readOwners(tx);
    for (const pool of request.pools) {
      const owner = owners.get(pool.poolName);
      if (owner === undefined || owner.nodeId === request.nodeId) {
        await tx.nodes.putPool({ ...pool, nodeId: request.nodeId });
      } else if (owner.state !== 'gone') {
        throw new Error(
          `Pool ${pool.poolName} belongs to ${nodeName(owner)}, which is ${owner.state}. ${RULE} ` +
            "Give this node's pools names of their own.",
        );
      }
    }
    await letGo(tx, request);
  });
}

/**
 * Takes pools over that have been opened here and belong to a node that is gone: their disks are here now.
 *
 * @throws Error with a sentence for the operator when one of them cannot be used here either
 */
export async function takeOverPools(
  metadata: MetadataStore,
  request: TakePoolsRequest,
  pools: Pick<Pools, 'statusOf'>,
): Promise<readonly NodePool[]> {
  return await metadata.transaction(async (tx) => {
    const { owners } = await readOwners(tx);
    const taken: NodePool[] = [];
    for (const pool of request.pools) {
      const owner = owners.get(pool.poolName);
      if (owner === undefined || owner.nodeId === request.nodeId) continue;
      const status = pools.statusOf(pool.poolName);
      if (owner.state !== 'gone' || !status.isActive) {
        const reason = status.isActive ? '' : ` ${status.reason}`;
        throw new Error(
          `Pool ${pool.poolName} belongs to ${nodeName(owner)}, which is ${owner.state}, and cannot be taken over ` +
            `from it.${reason} ${RULE} Bring its disk here, or give this node's pools names of their own.`,
        );
      }
      await tx.nodes.putPool({ ...pool, nodeId: request.nodeId });
      taken.push({ ...pool, nodeId: owner.nodeId });
    }
    return taken;
  });
}

/** A pool that is configured no more and has no drives may become anybody's. */
async function letGo(tx: MetadataTransaction, { nodeId, pools }: TakePoolsRequest): Promise<void> {
  for (const { poolName, nodeId: ownerId } of await tx.nodes.listPools()) {
    if (ownerId !== nodeId || pools.some((pool) => pool.poolName === poolName)) continue;
    const any = { userId: null, readerId: null, tag: null, state: null, after: null } as const;
    const drives = await tx.drives.list({ ...any, poolName, limit: 1 });
    if (drives.length === 0) await tx.nodes.removePool(poolName);
  }
}

async function readOwners(tx: MetadataTransaction): Promise<{ owners: ReadonlyMap<string, Node> }> {
  const nodes = new Map((await tx.nodes.list()).map((node) => [node.nodeId, node]));
  const owners = new Map<string, Node>();
  for (const { poolName, nodeId } of await tx.nodes.listPools()) {
    const node = nodes.get(nodeId);
    if (node !== undefined) owners.set(poolName, node);
  }
  return { owners };
}
