import type { PoolSpec } from '../blockdev/pool-spec.ts';
import type { Info } from './service.ts';
import type { ServiceContext } from './service-context.ts';

/** Every configured pool, with its room as of this moment. */
export async function listPools(context: ServiceContext): Promise<readonly Info[]> {
  const { pools, metadata } = context;
  const usage = await metadata.drives.usageByPool();
  const views = new Map(pools.views().map((view) => [view.name, view]));
  return pools.configs.map((config) => {
    const { name, kind } = config.spec;
    const status = pools.statusOf(name);
    const used = usage.get(name) ?? { drives: 0, sizeBytes: 0 };
    return {
      pool: name,
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
}

function placeOf(spec: PoolSpec): Info {
  if (spec.kind === 'file') return { directory: spec.directory };
  const { cephPool, namespace } = spec;
  return { 'ceph:pool': cephPool, ...(namespace === null ? {} : { 'ceph:namespace': namespace }) };
}
