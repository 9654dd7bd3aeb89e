import { once } from 'node:events';
import { connect } from 'node:net';
import type { Socket } from 'node:net';

/** A connection without an HTTP client in the way, for what no HTTP client would send. */
export interface RawSocket extends Disposable {
  readonly socket: Socket;
  /** What has come so far. */
  received(): string;
  /** The first answer's status line and headers. */
  head(): Promise<string>;
  /** Everything that comes until the server closes. */
  untilClosed(): Promise<string>;
}

export async function rawSocket(port: number, sent: string | Uint8Array = ''): Promise<RawSocket> {
  const socket = connect({ host: '127.0.0.1', port, allowHalfOpen: true });
  let text = '';
  const answered = new Promise<void>((resolve) => {
    socket.on('data', (part: Buffer) => {
      text += part.toString('latin1');
      if (text.includes('\r\n\r\n')) resolve();
    });
  });
  // A server that hangs up while it is sent to is an answer too.
  socket.on('error', () => undefined);
  const closed = new Promise<void>((resolve) => {
    socket.once('end', () => {
      socket.end();
      resolve();
    });
    socket.once('close', () => {
      resolve();
    });
  });
  await once(socket, 'connect');
  if (sent.length > 0) socket.write(sent);
  return {
    socket,
    received: () => text,
    head: async () => Promise.race([answered, closed]).then(() => text.split('\r\n\r\n')[0] ?? ''),
    untilClosed: async () => closed.then(() => text),
    [Symbol.dispose]: () => {
      socket.destroy();
    },
  };
}

export function requestHead(auth: string, line: string, headers: readonly string[] = []): string {
  const basic = `Authorization: Basic ${Buffer.from(auth).toString('base64')}`;
  return [`${line} HTTP/1.1`, 'Host: drivebay', basic, ...headers, '', ''].join('\r\n');
}
