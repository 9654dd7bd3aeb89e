import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '../runtime/clock.ts';
import { type HandshakeOptions, type HandshakeResult, type Negotiated, shakeHands } from './handshake.ts';
import { DEFAULT_HANDSHAKE_LIMITS, type HandshakeLimits } from './limits.ts';
import type { NbdEndpoint } from './nbd-uri.ts';
import { EXPORT_NAME, OFFER } from './scratch-client.ts';

type Settings = Partial<Omit<HandshakeOptions, 'limits'>> & {
  limits?: Partial<HandshakeLimits>;
  /** What becomes of a connection when its transmission begins; it is closed when not given. */
  transmit?: (negotiated: Negotiated) => void;
};

/** A listener that shakes hands with everybody who connects, on TCP and on a Unix socket. */
export interface ScratchServer extends AsyncDisposable {
  readonly tcp: NbdEndpoint & { kind: 'tcp' };
  readonly unix: NbdEndpoint & { kind: 'unix' };
  /** The sockets as they were accepted, and how their handshakes ended, each in the order of the connections. */
  readonly sockets: readonly Socket[];
  readonly results: readonly Promise<HandshakeResult>[];
}

export async function scratchServer(settings: Settings = {}): Promise<ScratchServer> {
  const { transmit = ({ socket }) => socket.destroy(), limits, ...given } = settings;
  const options: HandshakeOptions = {
    address: '192.0.2.1',
    tls: { mode: 'off' },
    clock: systemClock,
    stopping: new AbortController().signal,
    resolve: async (name) => await Promise.resolve(name === EXPORT_NAME ? OFFER : null),
    penalty: async () => await Promise.resolve(),
    ...given,
    limits: { ...DEFAULT_HANDSHAKE_LIMITS, ...limits },
  };
  const sockets: Socket[] = [];
  const results: Promise<HandshakeResult>[] = [];
  const accept = (socket: Socket): void => {
    sockets.push(socket);
    const result = shakeHands(socket, options);
    results.push(result);
    result.then(
      ({ negotiated }) => negotiated !== null && transmit(negotiated),
      () => undefined,
    );
  };
  const directory = await mkdtemp(join(tmpdir(), 'drivebay-nbd-'));
  const socketPath = join(directory, 'nbd.sock');
  const servers = [
    createServer(accept).listen({ host: '127.0.0.1', port: 0 }),
    createServer(accept).listen(socketPath),
  ];
  await Promise.all(servers.map((server) => once(server, 'listening')));
  const address = servers[0]?.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  const isTls = options.tls.mode !== 'off';
  return {
    tcp: { kind: 'tcp', host: 'localhost', port, isTls },
    unix: { kind: 'unix', socketPath, isTls },
    sockets,
    results,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
      await rm(directory, { recursive: true });
    },
  };
}
