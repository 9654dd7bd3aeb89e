import { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { TLSSocket } from 'node:tls';
import { loadSocketCalls } from '../runtime/socket-calls.ts';

/** How long a client may take for what it was sent last. */
const LAST_MOMENT_MS = 1000;

/** A descriptor to serve a client's connection by; disposing of it ends the connection once what was sent is out. */
export interface LentSocket extends AsyncDisposable {
  readonly descriptor: number;
}

/**
 * Lends out a socket whose handshake is over: its own descriptor, or for TLS one end of a pair of sockets, between which
 * and the client this thread encrypts and decrypts.
 */
export function lendSocket(socket: Socket): LentSocket {
  if (socket instanceof TLSSocket) return pipe(socket);
  const handle = (socket as unknown as { readonly _handle: { readonly fd: number } | null })._handle;
  if (handle === null || handle.fd < 0) throw new Error('The client is gone.');
  const destroy = async (): Promise<void> => void socket.destroy();
  return { descriptor: handle.fd, [Symbol.asyncDispose]: destroy };
}

function pipe(client: TLSSocket): LentSocket {
  const calls = loadSocketCalls();
  const [inner, outer] = calls.newPair();
  const plain = new Socket({ fd: outer, readable: true, writable: true, allowHalfOpen: false });
  const end = (): void => {
    client.destroy();
    plain.destroy();
  };
  const over = new Promise<void>((resolve) => {
    for (const event of ['finish', 'close']) client.once(event, () => resolve());
  });
  // That the inner side has ended is passed on behind its last bytes, by the pipe.
  plain.on('error', end);
  client.on('error', end).on('close', end);
  client.pipe(plain);
  plain.pipe(client);
  client.resume();
  return {
    descriptor: inner,
    async [Symbol.asyncDispose]() {
      // The other side sees the end behind what was sent last, and passes both on.
      calls.close(inner);
      await Promise.race([over, sleep(LAST_MOMENT_MS, undefined, { ref: false })]);
      end();
    },
  };
}
