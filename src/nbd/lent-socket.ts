import { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { loadSocketCalls } from '../runtime/socket-calls.ts';

/** A descriptor to serve a client's connection by; disposing of it ends the connection. */
export interface LentSocket extends Disposable {
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
  return { descriptor: handle.fd, [Symbol.dispose]: () => socket.destroy() };
}

function pipe(client: TLSSocket): LentSocket {
  const calls = loadSocketCalls();
  const [inner, outer] = calls.newPair();
  const plain = new Socket({ fd: outer, readable: true, writable: true, allowHalfOpen: false });
  const end = (): void => {
    client.destroy();
    plain.destroy();
  };
  for (const side of [client, plain]) side.on('error', end).on('close', end);
  client.pipe(plain);
  plain.pipe(client);
  client.resume();
  return {
    descriptor: inner,
    [Symbol.dispose]() {
      calls.close(inner);
      // What was sent last is still on its way to the client.
      plain.once('end', () => client.end());
    },
  };
}
