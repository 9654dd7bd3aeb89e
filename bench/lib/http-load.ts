import { once } from 'node:events';
import { connect } from 'node:net';
import type { Socket } from 'node:net';

/** Sends requests over a number of connections, each one after the other, and measures what goes through. */
export interface HttpLoad {
  readonly port: number;
  readonly connections: number;
  /** How many requests in all. */
  readonly requests: number;
  /** The whole of a request's head, for the n-th request; ends with an empty line. */
  readonly head: (index: number) => string;
  /** Sent after each head. */
  readonly body?: Uint8Array;
  /** The status that counts as good. */
  readonly status: number;
}

/**
 * Runs the load and returns seconds. The client is as thin as Node allows, raw sockets into one reused buffer, so
 * that on a machine that client and server share it is the server that is measured.
 */
export async function runHttpLoad(load: HttpLoad): Promise<number> {
  const startedAtMs = performance.now();
  let next = 0;
  const takeNext = (): number | null => (next < load.requests ? next++ : null);
  await Promise.all(Array.from({ length: load.connections }, () => runConnection(load, takeNext)));
  return (performance.now() - startedAtMs) / 1000;
}

async function runConnection(load: HttpLoad, takeNext: () => number | null): Promise<void> {
  const parser = createResponseParser(load.status);
  const buffer = Buffer.allocUnsafeSlow(1024 * 1024);
  const socket = connect({
    port: load.port,
    host: '127.0.0.1',
    noDelay: true,
    onread: {
      buffer,
      callback: (bytesRead, data) => {
        parser.push(Buffer.from(data.buffer, data.byteOffset, bytesRead));
        return true;
      },
    },
  });
  socket.on('error', parser.fail);
  socket.on('close', () => parser.fail(new Error('The server closed the connection.')));
  await once(socket, 'connect');
  for (let index = takeNext(); index !== null; index = takeNext())
    await exchange(load, socket, parser, index);
  socket.removeAllListeners('close');
  socket.destroy();
}

async function exchange(
  load: HttpLoad,
  socket: Socket,
  parser: ReturnType<typeof createResponseParser>,
  index: number,
): Promise<void> {
  const answered = parser.expect();
  socket.write(load.head(index));
  if (load.body !== undefined) socket.write(load.body);
  await answered;
}

/** Follows responses that have a Content-Length, or none and no body. */
function createResponseParser(status: number): {
  push: (chunk: Buffer) => void;
  expect: () => Promise<void>;
  fail: (error: Error) => void;
} {
  let head = '';
  let bodyBytesLeft: number | null = null;
  let waiting: PromiseWithResolvers<void> | null = null;

  function finish(): void {
    head = '';
    bodyBytesLeft = null;
    waiting?.resolve();
  }
  return {
    expect() {
      waiting = Promise.withResolvers<void>();
      return waiting.promise;
    },
    fail: (error) => waiting?.reject(error),
    push(chunk) {
      if (bodyBytesLeft !== null) {
        bodyBytesLeft -= chunk.byteLength;
        if (bodyBytesLeft === 0) finish();
        return;
      }
      head += chunk.toString('latin1');
      const end = head.indexOf('\r\n\r\n');
      if (end === -1) return;
      if (!head.startsWith(`HTTP/1.1 ${status} `)) waiting?.reject(new Error(head.slice(0, 500)));
      const length = /content-length: ([0-9]+)/i.exec(head.slice(0, end))?.[1] ?? '0';
      bodyBytesLeft = Number(length) - (head.length - end - 4);
      if (bodyBytesLeft === 0) finish();
    },
  };
}
