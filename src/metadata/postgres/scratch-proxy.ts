import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';

/**
 * - pass: what comes is passed on
 * - freeze: nothing is passed on and nothing is closed, as with a network that has gone away
 * - cut at commit: the next commit reaches the database, and its answer nobody
 */
export type ProxyMode = 'pass' | 'freeze' | 'cut at commit';

/** Stands between a store and its database. */
export interface ScratchProxy extends AsyncDisposable {
  readonly port: number;
  mode: ProxyMode;
}

export async function startScratchProxy(target: { readonly port: number }): Promise<ScratchProxy> {
  const sockets = new Set<Socket>();
  const server = createServer((client) => {
    const upstream = connect(target.port, '127.0.0.1');
    join(client, upstream);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const proxy: ScratchProxy = {
    port: (server.address() as AddressInfo).port,
    mode: 'pass',
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };

  function join(client: Socket, upstream: Socket): void {
    let isCommitting = false;
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on('error', () => undefined);
      socket.on('close', () => {
        sockets.delete(socket);
        if (proxy.mode !== 'freeze') for (const each of [client, upstream]) each.destroy();
      });
    }
    client.on('data', (bytes) => {
      if (proxy.mode === 'freeze') return;
      isCommitting = proxy.mode === 'cut at commit' && bytes.includes('commit\0');
      if (isCommitting) proxy.mode = 'pass';
      upstream.write(bytes);
    });
    upstream.on('data', (bytes) => {
      if (isCommitting) client.destroy();
      else if (proxy.mode !== 'freeze') client.write(bytes);
    });
  }

  return proxy;
}
