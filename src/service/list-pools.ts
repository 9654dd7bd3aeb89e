import type { PoolSpec } from '../blockdev/pool-spec.ts';
import type { Info } from './service.ts';
import type { ServiceContext } from './service-context.ts';

/** Every configured pool, with its room as of this moment, and the pools of other nodes, whose room is not known here. */
export async function listPools(context: ServiceContext): Promise<readonly Info[]> {
  const { pools, poolOwners, node, metadata } = context;
  const usage = await metadata.drives.usageByPool();
  const views = new Map(pools.views().map((view) => [view.name, view]));
  const own = pools.configs.map((config): Info => {
    const { name, kind } = config.spec;
    const status = pools.statusOf(name);
    const used = usage.get(name) ?? { drives: 0, sizeBytes: 0 };
    return {
      pool: name,
      ...(kind === 'file' ? { node: node.nodeId } : {}),
      kind,
      ...placeOf(config.spec),
      domain: config.domain,
      ...(config.tier === null ? {} : { tier: config.tier }),
      status: status.isActive ? 'active' : 'inactive',
      ...(status.isActive ? {} : { reason: status.reason }),
      ...(status.isActive
        ? {
            'total:bytes': String(status.room.totalBytes),
            'free:bytes': String(status.room.freeBytes),
            'available:bytes': String(views.get(name)?.availableBytes ?? 0),
          }
        : {}),
      drives: String(used.drives),
      'drives:bytes': String(used.sizeBytes),
    };
  });
  const others = poolOwners.list().map((pool): Info => {
    const used = usage.get(pool.poolName) ?? { drives: 0, sizeBytes: 0 };
    const isActive = pool.node.state !== 'gone';
    return {
      pool: pool.poolName,
      node: pool.nodeId,
      domain: pool.domain,
      status: isActive ? 'active' : 'inactive',
      ...(isActive ? {} : { reason: poolOwners.reasonOf(pool.poolName) }),
      drives: String(used.drives),
      'drives:bytes': String(used.sizeBytes),
    };
  });
  return [...own, ...others];
}

function placeOf(spec: PoolSpec): Info {
  if (spec.kind === 'file') return { directory: spec.directory };
  const { cephPool, namespace } = spec;
  return { 'ceph:pool': cephPool, ...(namespace === null ? {} : { 'ceph:namespace': namespace }) };
}
