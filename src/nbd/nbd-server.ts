import { once } from 'node:events';
import { chmod, lstat, unlink } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import type { Server, Socket } from 'node:net';
import { createSecureContext } from 'node:tls';
import type { SecureContext } from 'node:tls';
import type { Logger } from 'pino';
import { DriveError } from '../core/errors.ts';
import type { Clock } from '../runtime/clock.ts';
import { listenError, requireSocketPath } from '../runtime/listen-error.ts';
import { readTlsPair, watchTlsFiles } from '../runtime/tls-files.ts';
import type { TlsFiles } from '../runtime/tls-files.ts';
import type { Attachment, AttachmentService } from '../service/service.ts';
import type { ExportOffer } from './export-offer.ts';
import { shakeHands } from './handshake.ts';
import type { ListenerTls, Negotiated } from './handshake.ts';
import { DEFAULT_HANDSHAKE_LIMITS, MAX_REQUEST_BYTES } from './limits.ts';
import { lendSocket } from './lent-socket.ts';

export interface NbdServerOptions {
  readonly attachments: AttachmentService;
  readonly logger: Logger;
  readonly clock: Clock;
  /** Null where that listener is off; port 0 takes any free port. */
  readonly tcp: { readonly host: string; readonly port: number } | null;
  readonly unixPath: string | null;
  /** For TCP, which then takes nothing else. A Unix socket needs none. */
  readonly tls: TlsFiles | null;
  /** Connections at once; further ones are closed. */
  readonly maxConnections: number;
  /** Counts a wrong secret and resolves when it may be answered. */
  readonly penalty: (address: string) => Promise<void>;
}

/** Where servers can connect. */
export interface NbdAddresses {
  readonly tcp: { readonly host: string; readonly port: number; readonly isTls: boolean } | null;
  readonly unixPath: string | null;
}

export interface NbdServer {
  listen(): Promise<NbdAddresses>;
  /** Takes no more connections and ends the handshakes; returns when every connection has ended. */
  close(): Promise<void>;
}

const TLS_CHECK_INTERVAL_MS = 5_000;
/** What a client is told to use where it has a choice. */
const PREFERRED_BLOCK_BYTES = 4096;
/** Programs of other users must not even guess secrets. */
const SOCKET_MODE = 0o600;

/** The NBD listeners: they shake hands, and hand connections over to be served. Nothing listens before `listen`. */
export function createNbdServer(options: NbdServerOptions): NbdServer {
  return new NbdListeners(options);
}

class NbdListeners implements NbdServer {
  readonly #options: NbdServerOptions;
  readonly #servers: Server[] = [];
  readonly #connections = new Set<Promise<void>>();
  readonly #stopping = new AbortController();
  #endTlsWatch = (): void => undefined;

  constructor(options: NbdServerOptions) {
    this.#options = options;
  }

  async listen(): Promise<NbdAddresses> {
    const { tcp, unixPath } = this.#options;
    const tls = await this.#loadTls();
    const address = tcp === null ? null : await this.#listenTcp(tcp, tls);
    if (unixPath !== null) await this.#listenUnix(unixPath);
    return {
      tcp: address === null ? null : { ...address, isTls: tls.mode !== 'off' },
      unixPath,
    };
  }

  async close(): Promise<void> {
    this.#endTlsWatch();
    this.#stopping.abort();
    for (const server of this.#servers) server.close();
    await Promise.all(this.#connections);
  }

  async #listenTcp(
    tcp: { host: string; port: number },
    tls: ListenerTls,
  ): Promise<{ host: string; port: number }> {
    const server = this.#newServer((socket) => this.#accept(socket, tls, socket.remoteAddress ?? ''));
    server.listen(tcp);
    await once(server, 'listening').catch((error: unknown) => {
      throw listenError(error, { place: `${tcp.host}:${tcp.port}`, flag: '--nbd-listen' });
    });
    const address = server.address();
    if (address === null || typeof address === 'string') throw new Error('The NBD listener has no address.');
    return { host: tcp.host, port: address.port };
  }

  async #listenUnix(path: string): Promise<void> {
    requireSocketPath(path, '--nbd-socket');
    await removeStaleSocket(path);
    const server = this.#newServer((socket) => this.#accept(socket, { mode: 'off' }, 'unix'));
    server.listen(path);
    await once(server, 'listening').catch((error: unknown) => {
      throw listenError(error, { place: path, flag: '--nbd-socket' });
    });
    await chmod(path, SOCKET_MODE);
  }

  #newServer(accept: (socket: Socket) => void): Server {
    const server = createServer({ noDelay: true }, accept);
    server.maxConnections = this.#options.maxConnections;
    this.#servers.push(server);
    return server;
  }

  async #loadTls(): Promise<ListenerTls> {
    const { tls, logger } = this.#options;
    if (tls === null) return { mode: 'off' };
    let current: SecureContext = createSecureContext({ ...(await readTlsPair(tls)), minVersion: 'TLSv1.2' });
    this.#endTlsWatch = watchTlsFiles(tls, {
      intervalMs: TLS_CHECK_INTERVAL_MS,
      logger,
      apply: (pair) => {
        current = createSecureContext({ ...pair, minVersion: 'TLSv1.2' });
      },
    });
    return { mode: 'required', secureContext: () => current };
  }

  #accept(socket: Socket, tls: ListenerTls, address: string): void {
    if (this.#connections.size >= this.#options.maxConnections) {
      socket.destroy();
      return;
    }
    const connection = this.#serve(socket, tls, address)
      .catch((error: unknown) =>
        this.#options.logger.error({ err: error, address }, 'an NBD connection failed'),
      )
      .finally(() => {
        socket.destroy();
        this.#connections.delete(connection);
      });
    this.#connections.add(connection);
  }

  async #serve(socket: Socket, tls: ListenerTls, address: string): Promise<void> {
    const { logger, clock, penalty } = this.#options;
    let attachment: Attachment | null = null;
    const result = await shakeHands(socket, {
      address,
      tls,
      clock,
      penalty,
      limits: DEFAULT_HANDSHAKE_LIMITS,
      stopping: this.#stopping.signal,
      resolve: async (secret) => {
        attachment = await this.#resolve(secret);
        return attachment === null ? null : offerOf(attachment);
      },
    });
    if (result.negotiated === null || attachment === null) {
      logger.debug({ address, reason: 'reason' in result ? result.reason : null }, 'NBD handshake ended');
      return;
    }
    await this.#transmit(result.negotiated, attachment, address);
  }

  async #resolve(secret: string): Promise<Attachment | null> {
    try {
      return await this.#options.attachments.resolve(secret);
    } catch (error) {
      // A pool that is away is no reason to tell strangers that the secret is right.
      if (error instanceof DriveError) return null;
      throw error;
    }
  }

  async #transmit(negotiated: Negotiated, attachment: Attachment, address: string): Promise<void> {
    const { logger, attachments, clock } = this.#options;
    const facts = {
      address,
      drive: attachment.claim.driveId,
      server: attachment.claim.serverId,
      epoch: attachment.claim.epoch,
      isTls: negotiated.isTls,
    };
    const startedAtMs = clock.monotonicMs();
    logger.info(facts, 'NBD connection');
    await using lent = lendSocket(negotiated.socket);
    const reason = await attachments.serve(attachment, {
      descriptor: lent.descriptor,
      form: formOf(negotiated),
      contextId: negotiated.baseAllocationId,
      leftover: negotiated.leftover,
    });
    logger.info(
      { ...facts, reason, ms: Math.round(clock.monotonicMs() - startedAtMs) },
      'NBD connection ended',
    );
  }
}

function offerOf({ claim, drive }: Attachment): ExportOffer {
  return {
    sizeBytes: drive.sizeBytes,
    isReadOnly: claim.access === 'ro',
    minimumBlockBytes: 1,
    preferredBlockBytes: PREFERRED_BLOCK_BYTES,
    maximumBlockBytes: MAX_REQUEST_BYTES,
    canMultiConn: true,
    description: drive.name ?? drive.driveId,
  };
}

function formOf({ structuredReplies, extendedHeaders }: Negotiated): 'simple' | 'structured' | 'extended' {
  if (extendedHeaders) return 'extended';
  return structuredReplies ? 'structured' : 'simple';
}

/** A socket file that nobody listens to is left over from a process that was killed. */
async function removeStaleSocket(path: string): Promise<void> {
  const file = await lstat(path).catch(() => null);
  if (file === null) return;
  if (!file.isSocket())
    throw new Error(`${path} is there and is no socket: choose another with --nbd-socket.`);
  const probe = connect(path);
  const isAlive = await once(probe, 'connect').then(
    () => true,
    () => false,
  );
  probe.destroy();
  if (isAlive) throw new Error(`${path} is in use by another program: choose another with --nbd-socket.`);
  await unlink(path);
}
