import type { Logger } from 'pino';
import type { Config } from './config/config.ts';
import type { Node, NodeNbd } from './core/node.ts';
import type { ConnectionStats } from './data-workers/connection-stats.ts';
import type { MetadataStore } from './metadata/metadata-store.ts';
import { formatNbdUri } from './nbd/nbd-uri.ts';
import { createNbdServer } from './nbd/nbd-server.ts';
import type { NbdAddresses } from './nbd/nbd-server.ts';
import { systemClock } from './runtime/clock.ts';
import type { Lifecycle } from './runtime/lifecycle.ts';
import { ConnectionRegistry } from './service/connection-registry.ts';
import type { LoginThrottle } from './service/login-throttle.ts';
import type { Service } from './service/service.ts';

/** How long connections may take to be cut when the server stops. */
const CUT_TIMEOUT_MS = 5_000;

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

/** Where servers reach this node's NBD listener for TCP; null without one. */
export function reachableNbd({ nbdAddress }: Config, { tcp }: NbdAddresses): NodeNbd | null {
  return tcp === null ? null : { ...tcp, host: nbdAddress ?? tcp.host };
}

/** What servers connect to when another node serves the drive. Its Unix socket is not of this machine. */
export function urisOfOther({ nbd }: Pick<Node, 'nbd'>, exportName: string): { readonly tcp?: string } {
  return nbd === null ? {} : { tcp: formatNbdUri({ endpoint: { kind: 'tcp', ...nbd }, exportName }) };
}

export function createConnectionRegistry(
  metadata: MetadataStore,
  log: Logger,
  count: (driveId: string, done: ConnectionStats) => void,
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
    // A pool that hangs must not keep the process from ending, nor must the timer once all are cut.
    const cut = new AbortController();
    await Promise.race([connections.cutAll(), systemClock.sleep(CUT_TIMEOUT_MS, cut.signal)]);
    cut.abort();
    await closed;
  });
  const addresses = await server.listen();
  attachUris.listening(addresses);
  if (addresses.tcp !== null) log.info({ ...addresses.tcp }, 'NBD listens on TCP');
  if (addresses.unixPath !== null) log.info({ path: addresses.unixPath }, 'NBD listens on a Unix socket');
  return addresses;
}
