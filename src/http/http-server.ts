import { once } from 'node:events';
import type { IncomingMessage, RequestListener, Server, ServerOptions, ServerResponse } from 'node:http';
import type { Server as HttpsServer } from 'node:https';
import { createServer as createNetServer } from 'node:net';
import type { Server as NetServer } from 'node:net';
import { promisify } from 'node:util';
import type { FastifyInstance } from 'fastify';
import type { Logger } from 'pino';
import type { Registry } from 'prom-client';
import type { Service } from '../service/service.ts';
import { API_COMMANDS } from './api-commands.ts';
import type { Command } from './command.ts';
import { guardConnections } from './connection-guard.ts';
import type { ConnectionGuard } from './connection-guard.ts';
import { DirectConnection } from './direct-connection.ts';
import { ExchangeLog } from './exchange-log.ts';
import { healthCommands } from './health-commands.ts';
import { createHttpApp } from './http-app.ts';
import { createHttpMetrics } from './http-metrics.ts';
import type { HttpLimits } from './limits.ts';
import type { HttpClock } from './request-body.ts';
import { readTlsPair, watchTlsFiles } from '../runtime/tls-files.ts';
import type { TlsFiles, TlsPair } from '../runtime/tls-files.ts';
import { RequestTurns } from './request-turns.ts';

// Import statements would load fetch as well, for which nobody who starts a server should wait.
const { createServer } = process.getBuiltinModule('node:http');
const { createServer: createTlsServer } = process.getBuiltinModule('node:https');

export interface HttpServerOptions {
  readonly service: Service;
  readonly logger: Logger;
  /** Where the metrics are registered, and what /metrics shows. */
  readonly metrics: Registry;
  readonly clock: HttpClock;
  readonly limits: HttpLimits;
  readonly tls: TlsFiles | null;
  readonly host: string;
  /** 0 for any free port. */
  readonly port: number;
}

/** Where the listener can be reached. */
export interface HttpAddress {
  readonly host: string;
  readonly port: number;
  readonly url: string;
}

export interface HttpServer {
  /** The application, for tests that need no socket. */
  readonly app: FastifyInstance;
  listen(): Promise<HttpAddress>;
  /** Takes no more connections, lets the requests under way finish within a limit, and returns when all is closed. */
  close(): Promise<void>;
}

/** The HTTP listener over a service. Nothing listens before `listen`. */
export async function createHttpServer(options: HttpServerOptions): Promise<HttpServer> {
  const { tls, limits, logger, clock, service } = options;
  const { server, listener } = newServer(tls === null ? null : await readTlsPair(tls), limits);
  const metrics = createHttpMetrics(options.metrics, promisify(listener.getConnections.bind(listener)));
  const exchanges = new ExchangeLog({ logger, metrics, clock });
  const guard = guardConnections({ server, listener, isTls: tls !== null, limits, exchanges, metrics });
  const commands: readonly Command[] = [
    ...API_COMMANDS,
    ...healthCommands(options.metrics, () => exchanges.isClosing),
  ];
  const waiting = new WeakSet<IncomingMessage>();
  const expectsContinue = (req: IncomingMessage): boolean => waiting.has(req);
  const attach = (handler: RequestListener): Server => serve(server, handler, { guard, waiting });
  const app = createHttpApp({
    commands,
    service,
    logger,
    limits,
    clock,
    metrics,
    exchanges,
    expectsContinue,
    createServer: attach,
  });
  await app.ready();
  return lifecycle({ app, server, listener, exchanges, options });
}

/** The HTTP server, and what accepts its connections: itself over TLS, else a server that lends out their sockets. */
interface Listening {
  readonly server: HttpsServer | Server;
  readonly listener: NetServer;
}

function newServer(pair: TlsPair | null, limits: HttpLimits): Listening {
  const settings: ServerOptions = {
    maxHeaderSize: limits.headerBytes,
    headersTimeout: limits.headersTimeoutMs,
    requestTimeout: limits.requestTimeoutMs,
    keepAliveTimeout: limits.keepAliveTimeoutMs,
    connectionsCheckingInterval: limits.timeoutCheckIntervalMs,
    // The missing header gets an answer of ours instead of Node's.
    requireHostHeader: false,
  };
  if (pair !== null) {
    const server = answerHalfClosed(createTlsServer({ ...settings, ...pair, minVersion: 'TLSv1.2' }));
    return { server, listener: server };
  }
  const server = answerHalfClosed(createServer(settings));
  // It never listens itself, and only then would begin to watch over the times that its connections take.
  server.emit('listening');
  const listener = createNetServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    server.emit('connection', new DirectConnection(socket));
  });
  return { server, listener };
}

/** A client that sends no more may still want its answer. Node knows this switch, but does not document it. */
function answerHalfClosed<AnyServer extends Server>(server: AnyServer): AnyServer {
  return Object.assign(server, { httpAllowHalfOpen: true });
}

/** Connects a server to the handler of its requests. */
function serve(
  server: Server,
  handler: RequestListener,
  { guard, waiting }: { guard: ConnectionGuard; waiting: WeakSet<IncomingMessage> },
): Server {
  const turns = new RequestTurns();
  const handle = (req: IncomingMessage, res: ServerResponse): void => {
    if (guard.isRefused(req)) return;
    if (req.socket instanceof DirectConnection) req.socket.waitFor(res);
    turns.take(req, res, () => handler(req, res));
  };
  server.on('request', handle);
  server.on('checkContinue', (req: IncomingMessage, res: ServerResponse) => {
    waiting.add(req);
    handle(req, res);
  });
  // An expectation that is not known may be passed over (RFC 9110, 10.1.1).
  server.on('checkExpectation', handle);
  return server;
}

interface LifecycleParts extends Listening {
  readonly app: FastifyInstance;
  readonly exchanges: ExchangeLog;
  readonly options: HttpServerOptions;
}

function lifecycle({ app, server, listener, exchanges, options }: LifecycleParts): HttpServer {
  const { tls, limits, logger, host, port } = options;
  let endTlsWatch = (): void => undefined;
  const listen = async (): Promise<HttpAddress> => {
    listener.listen({ host, port });
    await once(listener, 'listening');
    if (tls !== null && 'setSecureContext' in server) {
      const apply = (pair: TlsPair): void => server.setSecureContext({ ...pair, minVersion: 'TLSv1.2' });
      endTlsWatch = watchTlsFiles(tls, { intervalMs: limits.tlsCheckIntervalMs, logger, apply });
    }
    return addressOf(listener, tls === null ? 'http' : 'https');
  };
  const close = async (): Promise<void> => {
    endTlsWatch();
    exchanges.startClosing();
    if (listener.listening) await drainServer({ server, listener }, limits);
    await app.close();
  };
  return { app, listen, close };
}

async function drainServer({ server, listener }: Listening, limits: HttpLimits): Promise<void> {
  const closed = once(listener, 'close');
  listener.close();
  server.closeIdleConnections();
  const deadline = setTimeout(() => server.closeAllConnections(), limits.closeTimeoutMs);
  await closed;
  clearTimeout(deadline);
}

function addressOf(listener: NetServer, scheme: 'http' | 'https'): HttpAddress {
  const address = listener.address();
  if (address === null || typeof address === 'string') throw new Error('the listener has no address');
  const host = address.family === 'IPv6' ? `[${address.address}]` : address.address;
  return { host: address.address, port: address.port, url: `${scheme}://${host}:${address.port}` };
}
