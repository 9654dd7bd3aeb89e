import { once } from 'node:events';
import { connect as connectPlain, createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { connect as connectTls, createSecureContext, TLSSocket } from 'node:tls';
import { expect, test } from 'vitest';
import { FIRST_PAIR } from '../../test/helpers/tls-pairs.ts';
import { addressOf } from '../runtime/memory-address.ts';
import { loadSocketCalls, WOULD_BLOCK } from '../runtime/socket-calls.ts';
import { lendSocket } from './lent-socket.ts';

const SENT_BYTES = 300_000;
const calls = loadSocketCalls();

/** A client and the server's end of its connection, with TLS. */
async function tlsPair(): Promise<AsyncDisposable & { client: Socket; served: TLSSocket }> {
  const listener = createServer().listen({ host: '127.0.0.1', port: 0 });
  await once(listener, 'listening');
  const socket = connectPlain((listener.address() as AddressInfo).port, '127.0.0.1');
  const [accepted] = (await once(listener, 'connection')) as [Socket];
  const served = new TLSSocket(accepted, { isServer: true, secureContext: createSecureContext(FIRST_PAIR) });
  const client = connectTls({ socket, ca: FIRST_PAIR.cert, servername: 'localhost' });
  await once(client, 'secureConnect');
  return {
    client,
    served,
    async [Symbol.asyncDispose]() {
      client.destroy();
      served.destroy();
      await new Promise((resolve) => listener.close(resolve));
    },
  };
}

test('what was sent last over TLS reaches the client before the end does', async () => {
  await using pair = await tlsPair();
  const { client, served } = pair;
  const received: Buffer[] = [];
  client.on('data', (piece: Buffer) => received.push(piece));
  const ended = once(client, 'end');
  {
    await using lent = lendSocket(served);
    const memory = new SharedArrayBuffer(SENT_BYTES);
    new Uint8Array(memory).fill(7);
    for (let at = 0; at < SENT_BYTES;) {
      const span = { address: addressOf(memory) + at, lengthBytes: SENT_BYTES - at };
      const sent = calls.send(lent.descriptor, span, false);
      if (sent > 0) at += sent;
      else if (sent !== WOULD_BLOCK) throw new Error('The connection is broken.');
      await new Promise((resolve) => setImmediate(resolve));
    }
  }
  served.destroy();
  await ended;
  expect(Buffer.concat(received).equals(Buffer.alloc(SENT_BYTES, 7))).toBe(true);
});

test('a client that takes nothing over TLS is not waited for', async () => {
  await using pair = await tlsPair();
  pair.client.pause();
  const startedAtMs = performance.now();
  {
    await using lent = lendSocket(pair.served);
    const memory = new SharedArrayBuffer(2 ** 20);
    const span = { address: addressOf(memory), lengthBytes: 2 ** 20 };
    for (let times = 0; times < 50; times += 1) {
      calls.send(lent.descriptor, span, false);
      await new Promise((resolve) => setImmediate(resolve));
    }
  }
  expect(performance.now() - startedAtMs).toBeLessThan(5000);
});
