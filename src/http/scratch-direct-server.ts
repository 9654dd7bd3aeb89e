import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { createServer as createNetServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { setImmediate } from 'node:timers/promises';
import { addressOf } from '../runtime/memory-address.ts';
import { loadSocketCalls, WOULD_BLOCK } from '../runtime/socket-calls.ts';
import type { DetachedBody } from './detached-body.ts';
import { DirectConnection } from './direct-connection.ts';

// A server of direct connections alone, for tests of what passes over them.

/** How a body that stayed behind is taken: by reading the lent socket up to so many bytes, and the rest in chunks. */
export type TakeBody = (body: DetachedBody) => { readonly lentBytes: number };

export interface DirectServer extends AsyncDisposable {
  readonly port: number;
  readonly server: Server;
}

/** What the server answers to a request with this body: all that it has understood of it. */
export function echoOf(method: string, path: string, body: Uint8Array): string {
  return `${method} ${path} ${body.byteLength} ${createHash('sha256').update(body).digest('hex')}`;
}

/** Answers every request with its echo, and GET /pad/N with N bytes more. */
export async function startDirectServer(takeBody: TakeBody): Promise<DirectServer> {
  // As the real one: a client that sends no more may still want its answer.
  const server = Object.assign(createServer({ requireHostHeader: false }), { httpAllowHalfOpen: true });
  const handle = async (req: IncomingMessage, res: ServerResponse): Promise<void> => {
    if (req.socket instanceof DirectConnection) req.socket.waitFor(res);
    const detached = req.socket instanceof DirectConnection ? req.socket.takeBody() : null;
    const body =
      detached === null
        ? Buffer.concat((await req.toArray()) as Buffer[])
        : await received(detached, takeBody);
    if (body === null) {
      res.setHeader('Connection', 'close');
      res.end('short');
      return;
    }
    const padding = '~'.repeat(Number(/^\/pad\/(\d+)$/.exec(req.url ?? '')?.[1] ?? 0));
    res.end(echoOf(req.method ?? '', req.url ?? '', body) + padding);
  };
  server.on('request', (req, res) => void handle(req, res).catch(() => res.destroy()));
  server.on('clientError', (_error, socket) => socket.destroy());
  const listener = createNetServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    server.emit('connection', new DirectConnection(socket));
  });
  listener.listen(0, '127.0.0.1');
  await once(listener, 'listening');
  return {
    port: (listener.address() as AddressInfo).port,
    server,
    async [Symbol.asyncDispose]() {
      const closed = once(listener, 'close');
      listener.close();
      server.closeAllConnections();
      await closed;
    },
  };
}

/** The whole body; null when it ended before its end. */
async function received(body: DetachedBody, takeBody: TakeBody): Promise<Buffer | null> {
  // Whoever takes bodies looks at other things before.
  await setImmediate();
  const { lentBytes } = takeBody(body);
  const parts: Buffer[] = [];
  const lent = lentBytes === 0 ? null : body.lend();
  if (lent !== null) {
    const rest = Math.min(lentBytes, body.lengthBytes - lent.received.byteLength);
    const bytes = await receiveLent(lent.descriptor, rest);
    parts.push(Buffer.from(lent.received), bytes);
    lent.giveBack(bytes.byteLength);
  }
  const { promise, resolve } = Promise.withResolvers<boolean>();
  body.start({
    onChunk: (chunk) => void parts.push(Buffer.from(chunk)),
    onEnd: () => resolve(true),
    onFailure: () => resolve(false),
  });
  return (await promise) ? Buffer.concat(parts) : null;
}

/** Up to so many bytes, read from the socket itself as a thread does; fewer when it ends before. */
async function receiveLent(descriptor: number, lengthBytes: number): Promise<Buffer> {
  const calls = loadSocketCalls();
  const own = calls.duplicate(descriptor);
  const memory = new SharedArrayBuffer(Math.max(1, lengthBytes));
  const address = addressOf(memory);
  let done = 0;
  while (done < lengthBytes) {
    const count = calls.receive(own, { address: address + done, lengthBytes: lengthBytes - done });
    if (count === WOULD_BLOCK) await setImmediate();
    else if (count > 0) done += count;
    else break;
  }
  calls.close(own);
  return Buffer.from(new Uint8Array(memory, 0, done));
}
