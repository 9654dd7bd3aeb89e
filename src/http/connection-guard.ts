import type { IncomingMessage, Server } from 'node:http';
import type { Server as NetServer } from 'node:net';
import type { Duplex } from 'node:stream';
import { usage } from './error-table.ts';
import type { ExchangeLog } from './exchange-log.ts';
import type { HttpMetrics } from './http-metrics.ts';
import type { HttpLimits } from './limits.ts';

/** What guards the connections of a server. */
export interface GuardParts {
  readonly server: Server;
  /** What accepts the connections. */
  readonly listener: NetServer;
  readonly isTls: boolean;
  readonly limits: HttpLimits;
  readonly exchanges: ExchangeLog;
  readonly metrics: HttpMetrics;
}

/** Tells which connections are not to be served. */
export interface ConnectionGuard {
  isRefused(req: IncomingMessage): boolean;
}

/**
 * Answers what never becomes a request: connections over the limit, requests that Node's parser refuses, headers that
 * do not come in time. These answers are text, because nobody has said yet what they accept.
 */
export function guardConnections({
  server,
  listener,
  isTls,
  limits,
  exchanges,
  metrics,
}: GuardParts): ConnectionGuard {
  const refused = new WeakSet<Duplex>();
  let served = 0;

  const refuse = (socket: Duplex, answer: string): void => {
    if (refused.has(socket)) return;
    refused.add(socket);
    socket.on('error', () => socket.destroy());
    socket.end(answer);
    // The client gets a moment to read its answer; closing at once would reset the connection under it.
    const deadline = setTimeout(() => socket.destroy(), limits.drainTimeoutMs);
    socket.once('close', () => clearTimeout(deadline));
  };

  listener.maxConnections = limits.connections + limits.refusedConnections;
  listener.on('drop', () => metrics.connectionRefused());
  server.on(isTls ? 'secureConnection' : 'connection', (socket: Duplex) => {
    if (served >= limits.connections) {
      metrics.connectionRefused();
      refuse(socket, rawAnswer(503, 'system', 'There are too many connections; try again.', limits));
      return;
    }
    // Those being refused do not count: a client that tries again and again must not keep itself out.
    served += 1;
    socket.once('close', () => {
      served -= 1;
    });
  });
  server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
    if (socket.destroyed || !socket.writable || error.code === 'ECONNRESET') {
      socket.destroy();
      return;
    }
    const sentence = parserSentence(error, limits);
    if (endActive(exchanges, socket, sentence)) return;
    refuse(socket, rawAnswer(400, 'usage', sentence, limits));
  });
  server.on('connect', (_req, socket) => {
    refuse(socket, rawAnswer(400, 'usage', 'CONNECT is not for this server.', limits));
  });
  return { isRefused: (req) => refused.has(req.socket) };
}

/** What broke while a request is under way is told by that request's own answer, which ends the connection. */
function endActive(exchanges: ExchangeLog, socket: Duplex, sentence: string): boolean {
  const active = exchanges.activeOn(socket);
  for (const exchange of active) {
    exchange.mustClose = true;
    if (exchange.body.isUnread()) exchange.body.fail(usage(sentence));
  }
  return active.length > 0;
}

function parserSentence(error: NodeJS.ErrnoException, limits: HttpLimits): string {
  switch (error.code) {
    case 'HPE_HEADER_OVERFLOW':
      return `The headers are larger than ${limits.headerBytes} bytes.`;
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return `The request did not come in time: headers within ${limits.headersTimeoutMs / 1000} seconds.`;
    case 'HPE_INVALID_EOF_STATE':
      return 'The request ended before its end.';
    default:
      return 'The request is not valid HTTP/1.1.';
  }
}

function rawAnswer(status: 400 | 503, type: string, sentence: string, limits: HttpLimits): string {
  const lines = [
    status === 400 ? 'HTTP/1.1 400 Bad Request' : 'HTTP/1.1 503 Service Unavailable',
    'Content-Type: text/plain; charset=utf-8',
    `Content-Length: ${sentence.length + 1}`,
    `X-Elastic-Error: ${type}`,
    ...(status === 503 ? [`Retry-After: ${limits.retryAfterSeconds}`] : []),
    'Connection: close',
  ];
  return `${lines.join('\r\n')}\r\n\r\n${sentence}\n`;
}
