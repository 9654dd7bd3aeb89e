import { Counter, Gauge } from 'prom-client';
import type { Registry } from 'prom-client';
import { DriveError } from './core/errors.ts';
import { IO_KINDS, LATENCY_BOUNDS } from './data-workers/connection-stats.ts';
import type { IoKind, KindStats } from './data-workers/connection-stats.ts';
import type { Pools } from './data-workers/pools.ts';
import type { MetadataStore } from './metadata/metadata-store.ts';
import type { ConnectionRegistry } from './service/connection-registry.ts';

/** Imaging jobs that are looked at to be counted. */
const MAX_JOBS = 10_000;

/** What /metrics shows besides HTTP: figures that are read when somebody looks. */
export function registerMetrics(
  registry: Registry,
  parts: { metadata: MetadataStore; pools: Pools; connections: ConnectionRegistry },
): void {
  registerConnections(registry, parts.connections);
  registerPools(registry, parts.pools);
  registerClaims(registry, parts.metadata);
  registerImaging(registry, parts.metadata);
}

function registerPools(registry: Registry, pools: Pools): void {
  const registers = [registry];
  const gauge = (name: string, help: string): Gauge =>
    new Gauge({ name, help, labelNames: ['pool'], registers });
  // Metrics are asked in the order in which they are registered: the first one sets them all.
  const active: Gauge = new Gauge({
    name: 'drivebay_pool_active',
    help: 'Whether the pool can be used.',
    labelNames: ['pool'],
    registers,
    collect() {
      for (const { spec } of pools.configs) {
        const pool = spec.name;
        const status = pools.statusOf(pool);
        active.set({ pool }, status.isActive ? 1 : 0);
        queue.set({ pool }, pools.queueDepth(pool));
        if (status.isActive) {
          total.set({ pool }, status.room.totalBytes);
          free.set({ pool }, status.room.freeBytes);
        } else {
          total.remove({ pool });
          free.remove({ pool });
        }
      }
    },
  });
  const total = gauge('drivebay_pool_total_bytes', 'Size of the pool; absent while it is inactive.');
  const free = gauge('drivebay_pool_free_bytes', 'Free room of the pool; absent while it is inactive.');
  const queue = gauge('drivebay_pool_queue_depth', "Requests that the pool's threads have not answered yet.");
}

function registerClaims(registry: Registry, metadata: MetadataStore): void {
  const claims: Gauge = new Gauge({
    name: 'drivebay_claims',
    help: 'Claims of servers on drives.',
    registers: [registry],
    async collect() {
      const count = await knownOrNull(metadata.claims.count());
      if (count === null) claims.remove();
      else claims.set(count);
    },
  });
}

function registerImaging(registry: Registry, metadata: MetadataStore): void {
  const jobs: Gauge = new Gauge({
    name: 'drivebay_imaging_jobs',
    help: 'Imaging jobs by state.',
    labelNames: ['state'],
    registers: [registry],
    async collect() {
      const all = await knownOrNull(metadata.imaging.list(MAX_JOBS));
      if (all === null) {
        jobs.reset();
        bytes.remove();
        return;
      }
      const running = all.filter(({ state }) => state !== 'queued');
      jobs.set({ state: 'queued' }, all.length - running.length);
      jobs.set({ state: 'running' }, running.length);
      bytes.set(running.reduce((sum, job) => sum + Math.max(0, job.totalBytes - job.doneBytes), 0));
    },
  });
  const bytes = new Gauge({
    name: 'drivebay_imaging_left_bytes',
    help: 'What running jobs have still to do.',
    registers: [registry],
  });
}

/** While the metadata are away their figures are absent, and all others are still there. */
async function knownOrNull<Value>(asked: Promise<Value>): Promise<Value | null> {
  try {
    return await asked;
  } catch (error) {
    if (error instanceof DriveError && error.code === 'system') return null;
    throw error;
  }
}

function registerConnections(registry: Registry, connections: ConnectionRegistry): void {
  const registers = [registry];
  const open: Gauge = new Gauge({
    name: 'drivebay_nbd_connections',
    help: 'NBD connections that are served.',
    registers,
    collect: () => open.set(connections.count),
  });
  const bytes: Counter = new Counter({
    name: 'drivebay_nbd_bytes_total',
    help: 'Bytes read and written over NBD.',
    labelNames: ['operation'],
    registers,
    collect() {
      const total = connections.total();
      bytes.reset();
      for (const kind of ['read', 'write'] as const) bytes.inc({ operation: kind }, total[kind].bytes);
    },
  });
  registerLatencies(registry, connections);
}

/** A histogram whose counts were made elsewhere. Each of its series is asked by itself, before the others or after. */
function registerLatencies(registry: Registry, connections: ConnectionRegistry): void {
  const series = (
    suffix: string,
    labelNames: readonly string[],
    set: (gauge: Gauge, operation: IoKind, stats: KindStats) => void,
  ): void => {
    const gauge: Gauge = new Gauge({
      name: `drivebay_nbd_request_seconds_${suffix}`,
      help: 'Time from a request over NBD to its reply.',
      labelNames: [...labelNames],
      registers: [registry],
      collect() {
        const total = connections.total();
        for (const kind of IO_KINDS) set(gauge, kind, total[kind]);
      },
    });
  };
  series('bucket', ['operation', 'le'], setBuckets);
  series('sum', ['operation'], (gauge, operation, { seconds }) => gauge.set({ operation }, seconds));
  series('count', ['operation'], (gauge, operation, { requests }) => gauge.set({ operation }, requests));
}

function setBuckets(gauge: Gauge, operation: IoKind, { histogram }: KindStats): void {
  let below = 0;
  for (const [index, bound] of LATENCY_BOUNDS.entries()) {
    below += histogram[index] ?? 0;
    gauge.set({ operation, le: index === LATENCY_BOUNDS.length - 1 ? '+Inf' : bound }, below);
  }
}
