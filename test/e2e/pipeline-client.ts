import { once } from 'node:events';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { ADMIN_AUTH } from '../helpers/server-process.ts';
import { requestHead } from './raw-socket.ts';

/** An answer as it came. */
export interface PipelinedAnswer {
  readonly status: number;
  readonly body: Buffer;
}

/** A connection on which requests are sent without waiting for answers. */
export interface PipelineClient extends Disposable {
  readonly socket: Socket;
  /** The next answer; throws when the connection ends before its end. */
  answer(): Promise<PipelinedAnswer>;
}

export async function pipelineClient(port: number): Promise<PipelineClient> {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true });
  // Whoever waits for an answer is told that the connection has ended.
  socket.on('error', () => undefined);
  await once(socket, 'connect');
  let wake = (): void => undefined;
  for (const event of ['readable', 'end', 'close']) socket.on(event, () => wake());
  const readExactly = async (sizeBytes: number): Promise<Buffer> => {
    const parts: Buffer[] = [];
    for (let missing = sizeBytes; missing > 0;) {
      const size = Math.min(missing, Math.max(1, socket.readableLength));
      const part = socket.read(size) as Buffer | null;
      if (part !== null) {
        parts.push(part);
        missing -= part.byteLength;
      } else if (socket.readableEnded || socket.destroyed) {
        throw new Error(`The connection ended ${missing} bytes before the end of an answer.`);
      } else {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    }
    return Buffer.concat(parts);
  };
  const answer = async (): Promise<PipelinedAnswer> => {
    let text = '';
    while (!text.endsWith('\r\n\r\n')) text += (await readExactly(1)).toString('latin1');
    const status = Number(/^HTTP\/1.1 (\d{3}) /.exec(text)?.[1]);
    const sizeBytes = Number(/\r\ncontent-length: (\d+)\r\n/i.exec(text)?.[1] ?? 0);
    return { status, body: await readExactly(sizeBytes) };
  };
  return { socket, answer, [Symbol.dispose]: () => socket.destroy() };
}

/** One request as bytes. */
export function requestBytes(method: string, path: string, body?: Uint8Array): Buffer {
  const length = body === undefined ? [] : [`Content-Length: ${body.byteLength}`];
  const head = Buffer.from(requestHead(ADMIN_AUTH, `${method} ${path}`, length));
  return body === undefined ? head : Buffer.concat([head, body]);
}
