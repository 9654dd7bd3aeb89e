import { once } from 'node:events';
import type { OutgoingHttpHeaders } from 'node:http';
import type { SocketOutput } from '../service/service.ts';
import { DirectConnection } from './direct-connection.ts';
import type { Exchange } from './exchange.ts';

/** The headers of an answer that is bytes of a drive. */
export function bytesHeaders(sizeBytes: number): OutgoingHttpHeaders {
  return { 'Content-Type': 'application/octet-stream', 'Content-Length': sizeBytes };
}

/**
 * Waits until the earlier answers of this connection are through, or the connection is gone. Before that, Node would
 * hold everything that is written, and never say that it has been sent.
 */
export async function turnOf({ req, res }: Exchange): Promise<void> {
  if (res.socket !== null || req.socket.destroyed) return;
  const stop = new AbortController();
  const { signal } = stop;
  await Promise.race([once(res, 'socket', { signal }), once(req.socket, 'close', { signal })]).finally(() =>
    stop.abort(),
  );
}

/**
 * The client's socket, for an answer with these headers that is sent past the HTTP server; null where that cannot be:
 * over TLS, for HEAD, for a connection that ends with this answer, or while earlier answers are on their way.
 */
export function directOutput(exchange: Exchange, headers: OutgoingHttpHeaders): SocketOutput | null {
  const { req, res, requestId } = exchange;
  const { socket } = req;
  if (!(socket instanceof DirectConnection) || exchange.isHead || exchange.mustClose) return null;
  if (!res.shouldKeepAlive || res.socket !== req.socket) return null;
  if (socket.idleDescriptor === null) return null;
  const lines = Object.entries({ ...headers, 'X-Request-Id': requestId }).map(
    ([name, value]) => `${name}: ${String(value)}\r\n`,
  );
  const date = new Date().toUTCString();
  const head = `HTTP/1.1 200 OK\r\n${lines.join('')}Date: ${date}\r\nConnection: keep-alive\r\n\r\n`;
  return { descriptor: () => socket.idleDescriptor, head: Buffer.from(head, 'latin1') };
}

/** Lets the HTTP server finish an answer of which every byte has been sent past it. */
export function finishSilently(exchange: Exchange): void {
  const { req, res } = exchange;
  const { socket } = req;
  if (!(socket instanceof DirectConnection))
    throw new Error('This answer cannot have been sent past the server.');
  const speakAgain = socket.silence();
  // Before Node starts the next answer of this connection.
  res.prependOnceListener('finish', speakAgain);
  res.writeHead(200);
  res.end();
}
