import { once } from 'node:events';
import { readSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { setTimeout } from 'node:timers/promises';
import { connect as connectTls, createSecureContext, TLSSocket } from 'node:tls';
import { describe, expect, test } from 'vitest';
import { FIRST_PAIR, SECOND_PAIR } from '../../test/helpers/tls-pairs.ts';
import type { HandshakeResult } from './handshake.ts';
import { EXPORT_NAME, infoData, OFFER, option, parseReplies, uint32 } from './scratch-client.ts';
import { type ScratchServer, scratchServer } from './scratch-server.ts';

const GO = option('GO', infoData(EXPORT_NAME));
const FLAGS = uint32(3);
const GREETING_BYTES = 18;
const TLS = { mode: 'offered', secureContext: () => createSecureContext(FIRST_PAIR) } as const;

/** A client of one connection that keeps what it receives. */
class Client implements Disposable {
  readonly socket: Socket;
  #received: Buffer = Buffer.alloc(0);

  constructor(socket: Socket) {
    this.socket = socket;
    socket.on('error', () => undefined);
    socket.on('data', (bytes: Buffer) => (this.#received = Buffer.concat([this.#received, bytes])));
  }

  async take(byteCount: number): Promise<Buffer> {
    while (this.#received.length < byteCount) await once(this.socket, 'data');
    const taken = this.#received.subarray(0, byteCount);
    this.#received = this.#received.subarray(byteCount);
    return taken;
  }

  async reply(): Promise<string | undefined> {
    const header = await this.take(20);
    const data = await this.take(header.readUInt32BE(16));
    return parseReplies(Buffer.concat([header, data]))[0]?.type;
  }

  async closed(): Promise<Buffer> {
    // A reset is as good an end as any.
    if (!this.socket.closed) await new Promise((resolve) => this.socket.once('close', resolve));
    return this.#received;
  }

  [Symbol.dispose](): void {
    this.socket.destroy();
  }
}

async function connected(server: ScratchServer, kind: 'tcp' | 'unix' = 'tcp'): Promise<Client> {
  const client = new Client(
    kind === 'tcp' ? connect(server.tcp.port, '127.0.0.1') : connect(server.unix.socketPath),
  );
  await client.take(GREETING_BYTES);
  return client;
}

async function negotiatedBy(
  result: HandshakeResult | undefined,
): Promise<{ socket: Socket; leftover: Buffer }> {
  if (result?.negotiated === null || result === undefined)
    throw new Error(`It came to ${JSON.stringify(result)}.`);
  return await Promise.resolve(result.negotiated);
}

describe('when the transmission begins', () => {
  test.each(['tcp', 'unix'] as const)('not one byte more is taken from the kernel (%s)', async (kind) => {
    await using server = await scratchServer({ transmit: () => undefined });
    using client = await connected(server, kind);
    client.socket.write(Buffer.concat([FLAGS, GO]));
    const result = await server.results[0];
    expect(await client.reply()).toBe('INFO');
    expect(await client.reply()).toBe('ACK');
    const { socket, leftover } = await negotiatedBy(result);
    expect(leftover).toEqual(Buffer.alloc(0));
    const takenBytes = socket.bytesRead;
    client.socket.write('request');
    await setTimeout(50);
    expect(socket.bytesRead).toBe(takenBytes);
    expect(socket.readableLength).toBe(0);
    const { fd } = (socket as unknown as { _handle: { fd: number } })._handle;
    const bytes = Buffer.alloc(100);
    expect(bytes.subarray(0, readSync(fd, bytes)).toString()).toBe('request');
  });

  test('a client that sends byte by byte, or more than it should, loses nothing', async () => {
    await using server = await scratchServer({ transmit: () => undefined });
    using client = await connected(server);
    client.socket.setNoDelay(true);
    for (const byte of Buffer.concat([FLAGS, GO.subarray(0, -1)])) {
      client.socket.write(Buffer.from([byte]));
      await setTimeout(1);
    }
    client.socket.write(Buffer.concat([GO.subarray(-1), Buffer.from('early')]));
    const { leftover } = await negotiatedBy(await server.results[0]);
    expect(leftover.toString()).toBe('early');
  });

  test('bytes that come while the export is looked for are handed over', async () => {
    const { promise, resolve } = Promise.withResolvers<typeof OFFER>();
    await using server = await scratchServer({
      transmit: () => undefined,
      resolve: async () => await promise,
    });
    using client = await connected(server);
    client.socket.write(Buffer.concat([FLAGS, GO, Buffer.from('one ')]));
    await setTimeout(20);
    client.socket.write('two');
    await setTimeout(20);
    resolve(OFFER);
    const { leftover } = await negotiatedBy(await server.results[0]);
    expect(leftover.toString()).toBe('one two');
  });

  test('no listener is left but the one that ignores errors, and the socket goes on as usual', async () => {
    await using server = await scratchServer({ transmit: () => undefined });
    const before = new Map<string | symbol, number>();
    using client = await connected(server);
    client.socket.write(Buffer.concat([FLAGS, GO]));
    const { socket } = await negotiatedBy(await server.results[0]);
    for (const name of ['data', 'readable', 'close', 'error']) before.set(name, socket.listenerCount(name));
    expect(Object.fromEntries(before)).toEqual({ data: 0, readable: 0, close: 0, error: 1 });
    expect(socket.isPaused()).toBe(true);
    expect(socket.destroyed).toBe(false);
    socket.end('reply');
    expect((await client.closed()).subarray(-5).toString()).toBe('reply');
  });
});

describe('a wrong export name', () => {
  test('is answered only after its penalty, which the address pays', async () => {
    const paid: string[] = [];
    const { promise, resolve } = Promise.withResolvers<undefined>();
    await using server = await scratchServer({
      address: '192.0.2.7',
      penalty: async (address) => {
        paid.push(address);
        await promise;
      },
    });
    using client = await connected(server);
    client.socket.write(Buffer.concat([FLAGS, option('GO', infoData('wrong'))]));
    await setTimeout(50);
    expect(client.socket.bytesRead).toBe(GREETING_BYTES);
    expect(paid).toEqual(['192.0.2.7']);
    resolve(undefined);
    expect(await client.reply()).toBe('ERR_UNKNOWN');
    client.socket.write(GO);
    expect(await client.reply()).toBe('INFO');
    expect(paid).toHaveLength(1);
  });

  test('in EXPORT_NAME cuts the connection without a word', async () => {
    await using server = await scratchServer();
    using client = await connected(server);
    client.socket.write(Buffer.concat([FLAGS, option('EXPORT_NAME', Buffer.from('wrong'))]));
    expect(await client.closed()).toEqual(Buffer.alloc(0));
    expect(await server.results[0]).toEqual({ negotiated: null, reason: 'unknown-export' });
  });
});

describe('a handshake ends', () => {
  test('when its time is over, whatever the client does meanwhile', async () => {
    await using server = await scratchServer({ limits: { handshakeMs: 100, options: 1_000_000 } });
    using silent = await connected(server);
    using busy = await connected(server);
    busy.socket.write(FLAGS);
    const timer = setInterval(() => busy.socket.write(option('LIST')), 5);
    await Promise.all([silent.closed(), busy.closed()]);
    clearInterval(timer);
    const slow = { negotiated: null, reason: 'too-slow' };
    expect(await Promise.all(server.results)).toEqual([slow, slow]);
  });

  test('when its time is over while the export is looked for', async () => {
    await using server = await scratchServer({
      limits: { handshakeMs: 50 },
      resolve: async () => await new Promise(() => undefined),
    });
    using client = await connected(server);
    client.socket.write(Buffer.concat([FLAGS, GO]));
    await client.closed();
    expect(await server.results[0]).toEqual({ negotiated: null, reason: 'too-slow' });
  });

  test('when the client leaves', async () => {
    await using server = await scratchServer();
    using leaving = await connected(server);
    leaving.socket.end(FLAGS);
    expect(await server.results[0]).toEqual({ negotiated: null, reason: 'client-left' });
    using breaking = await connected(server);
    breaking.socket.resetAndDestroy();
    expect(await server.results[1]).toEqual({ negotiated: null, reason: 'connection-lost' });
  });

  test('when the client aborts, after it has its acknowledgement', async () => {
    await using server = await scratchServer();
    using client = await connected(server);
    client.socket.write(Buffer.concat([FLAGS, option('ABORT', Buffer.alloc(1000))]));
    expect(await client.reply()).toBe('ACK');
    await client.closed();
    expect(await server.results[0]).toEqual({ negotiated: null, reason: 'aborted' });
  });

  test('when the client aborts and stays', async () => {
    await using server = await scratchServer({ limits: { closingMs: 20 } });
    const socket = connect({ port: server.tcp.port, host: '127.0.0.1', allowHalfOpen: true });
    using client = new Client(socket);
    client.socket.write(Buffer.concat([FLAGS, option('ABORT')]));
    await client.take(GREETING_BYTES);
    expect(await client.reply()).toBe('ACK');
    expect(await server.results[0]).toEqual({ negotiated: null, reason: 'aborted' });
    expect(server.sockets[0]?.destroyed).toBe(true);
  });

  test('when the server stops: options are refused, and soon the connection is cut', async () => {
    const stopper = new AbortController();
    await using server = await scratchServer({ stopping: stopper.signal, limits: { stoppingMs: 100 } });
    using client = await connected(server);
    client.socket.write(FLAGS);
    stopper.abort();
    client.socket.write(GO);
    expect(await client.reply()).toBe('ERR_SHUTDOWN');
    await client.closed();
    expect(await server.results[0]).toEqual({ negotiated: null, reason: 'stopping' });
  });

  test('with the error of whoever was to find the export, and the socket is closed', async () => {
    const resolve = async (): Promise<never> => await Promise.reject(new Error('no database'));
    await using server = await scratchServer({ resolve });
    using client = await connected(server);
    client.socket.write(Buffer.concat([FLAGS, GO]));
    await client.closed();
    await expect(server.results[0]).rejects.toThrow('no database');
  });
});

describe('TLS', () => {
  async function startTls(client: Client): Promise<Client> {
    client.socket.write(Buffer.concat([FLAGS, option('STARTTLS')]));
    expect(await client.reply()).toBe('ACK');
    client.socket.removeAllListeners('data');
    const socket = connectTls({ socket: client.socket, ca: FIRST_PAIR.cert, servername: 'localhost' });
    await once(socket, 'secureConnect');
    return new Client(socket);
  }

  test.each(['tcp', 'unix'] as const)(
    'carries the rest of the handshake and the transmission (%s)',
    async (kind) => {
      await using server = await scratchServer({ tls: TLS, transmit: () => undefined });
      using client = await startTls(await connected(server, kind));
      client.socket.write(Buffer.concat([GO, Buffer.from('early')]));
      expect(await client.reply()).toBe('INFO');
      expect(await client.reply()).toBe('ACK');
      const { socket, leftover } = await negotiatedBy(await server.results[0]);
      expect(socket).toBeInstanceOf(TLSSocket);
      expect(leftover.toString()).toBe('early');
      client.socket.write('request');
      const [request] = (await once(socket.resume(), 'data')) as [Buffer];
      expect(request.toString()).toBe('request');
      socket.end('reply');
      expect((await client.closed()).toString()).toBe('reply');
    },
  );

  test('takes the certificate as it is when the client asks', async () => {
    let pair = SECOND_PAIR;
    const secureContext = (): ReturnType<typeof createSecureContext> => createSecureContext(pair);
    await using server = await scratchServer({ tls: { mode: 'required', secureContext } });
    const first = await connected(server);
    pair = FIRST_PAIR;
    using client = await startTls(first);
    expect((client.socket as TLSSocket).getPeerCertificate().subject.CN).toBe(FIRST_PAIR.name);
  });

  test('that does not come about ends the handshake', async () => {
    await using server = await scratchServer({ tls: TLS });
    for (const [index, noise] of ['this is no TLS at all', ''].entries()) {
      using client = await connected(server);
      client.socket.write(Buffer.concat([FLAGS, option('STARTTLS')]));
      expect(await client.reply()).toBe('ACK');
      client.socket.end(noise);
      await client.closed();
      expect(await server.results[index]).toEqual({ negotiated: null, reason: 'tls-failed' });
    }
  });

  test('is not begun with bytes that came before it', async () => {
    await using server = await scratchServer({ tls: TLS });
    using client = await connected(server);
    client.socket.write(Buffer.concat([FLAGS, option('STARTTLS'), Buffer.from([0])]));
    expect(await client.closed()).toEqual(Buffer.alloc(0));
    expect(await server.results[0]).toEqual({ negotiated: null, reason: 'bytes-before-tls' });
  });

  test('is not begun at leisure', async () => {
    await using server = await scratchServer({ tls: TLS, limits: { handshakeMs: 50 } });
    using client = await connected(server);
    client.socket.write(Buffer.concat([FLAGS, option('STARTTLS')]));
    await client.closed();
    expect(await server.results[0]).toEqual({ negotiated: null, reason: 'too-slow' });
  });
});
