import { Counter, Gauge } from 'prom-client';
import type { Registry } from 'prom-client';
import type { Logger } from 'pino';
import type { Config } from './config/config.ts';
import type { DriveCounters } from './core/drive.ts';
import { IO_KINDS, LATENCY_BOUNDS } from './data-workers/connection-stats.ts';
import type { IoKind, KindStats } from './data-workers/connection-stats.ts';
import type { MetadataStore } from './metadata/metadata-store.ts';
import { formatNbdUri } from './nbd/nbd-uri.ts';
import { createNbdServer } from './nbd/nbd-server.ts';
import type { NbdAddresses } from './nbd/nbd-server.ts';
import { systemClock } from './runtime/clock.ts';
import type { Lifecycle } from './runtime/lifecycle.ts';
import { ConnectionRegistry } from './service/connection-registry.ts';
import type { LoginThrottle } from './service/login-throttle.ts';
import type { Service } from './service/service.ts';

/** What servers connect to; known once the listeners are there. */
export interface AttachUris {
  of(secret: string): { readonly tcp?: string; readonly unix?: string };
  listening(addresses: NbdAddresses): void;
}

export function createAttachUris({ nbdAddress }: Config): AttachUris {
  let addresses: NbdAddresses = { tcp: null, unixPath: null };
  return {
    listening(found) {
      addresses = found;
    },
    of(exportName) {
      const { tcp, unixPath } = addresses;
      const tcpUri = tcp === null ? null : ({ kind: 'tcp', ...tcp, host: nbdAddress ?? tcp.host } as const);
      const unixUri =
        unixPath === null ? null : ({ kind: 'unix', socketPath: unixPath, isTls: false } as const);
      return {
        ...(tcpUri === null ? {} : { tcp: formatNbdUri({ endpoint: tcpUri, exportName }) }),
        ...(unixUri === null ? {} : { unix: formatNbdUri({ endpoint: unixUri, exportName }) }),
      };
    },
  };
}

export function createConnectionRegistry(
  metadata: MetadataStore,
  log: Logger,
  count: (driveId: string, delta: DriveCounters) => void,
): ConnectionRegistry {
  return new ConnectionRegistry({
    limitsOf: async (driveId) => (await metadata.drives.find(driveId))?.limits ?? null,
    count,
    now: systemClock.nowMs,
    reportFailure: (error, doing) => log.error({ err: error }, doing),
  });
}

/** Starts the NBD listeners that the configuration asks for. */
export async function listenNbd(options: {
  config: Config;
  log: Logger;
  lifecycle: Lifecycle;
  service: Service;
  throttle: LoginThrottle;
  connections: ConnectionRegistry;
  attachUris: AttachUris;
}): Promise<NbdAddresses> {
  const { config, log, lifecycle, service, throttle, connections, attachUris } = options;
  const server = createNbdServer({
    attachments: service.attachments,
    logger: log,
    clock: systemClock,
    tcp: config.nbdListen,
    unixPath: config.nbdSocket,
    tls: config.tls,
    maxConnections: config.nbdConnections,
    penalty: (address) => throttle.delayFailure({ userId: 'nbd', key: '', address }),
  });
  lifecycle.own('nbd', async () => {
    const closed = server.close();
    await connections.cutAll();
    await closed;
  });
  const addresses = await server.listen();
  attachUris.listening(addresses);
  if (addresses.tcp !== null) log.info({ ...addresses.tcp }, 'NBD listens on TCP');
  if (addresses.unixPath !== null) log.info({ path: addresses.unixPath }, 'NBD listens on a Unix socket');
  return addresses;
}

/** What NBD connections do, for /metrics: figures that are read when somebody looks. */
export function registerNbdMetrics(registry: Registry, connections: ConnectionRegistry): void {
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
