import { DriveError } from '../core/errors.ts';
import type { ServiceContext } from './service-context.ts';

type FenceContext = Pick<ServiceContext, 'node' | 'pools' | 'poolOwners' | 'connections' | 'reportFailure'>;

/** Ends what other nodes may take over once this one is taken to be gone. */
export interface NodeFence {
  /** Cuts the connections to shared pools when the node is fenced. */
  check(): Promise<void>;
}

export function createNodeFence(context: FenceContext): NodeFence {
  const { node, pools, poolOwners, connections } = context;
  return {
    async check() {
      if (!node.isFenced) return;
      const names = pools.configs.map(({ spec }) => spec.name);
      const shared = names.filter((poolName) => poolOwners.ownerOf(poolName) === null);
      await Promise.all(shared.map((poolName) => connections.cutPool(poolName)));
    },
  };
}

/** Whether this node has to keep off the pool: it is fenced, and the pool is not its own. */
export function isFencedFrom(
  { node, poolOwners }: Pick<FenceContext, 'node' | 'poolOwners'>,
  poolName: string,
): boolean {
  return node.isFenced && poolOwners.ownerOf(poolName) === null;
}

/** Throws DriveError system when this node has to keep off the pool. */
export function refuseFenced(context: Pick<FenceContext, 'node' | 'poolOwners'>, poolName: string): void {
  if (!isFencedFrom(context, poolName)) return;
  throw new DriveError(
    'system',
    `This node has lost touch with the metadata database, and another one may use pool ${poolName} now: ask that one.`,
    { pool: poolName },
  );
}
