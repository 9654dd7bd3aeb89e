import { once } from 'node:events';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { NBD_CMD } from '../../src/nbd/protocol-numbers.ts';
import { parseNbdUri } from '../../src/nbd/nbd-uri.ts';
import { infoData, option, uint32 } from '../../src/nbd/scratch-client.ts';
import { encodeRequest, ReplyReader } from '../../src/nbd/scratch-requests.ts';
import type { Awaited, ReceivedReply, SentRequest } from '../../src/nbd/scratch-requests.ts';

/** The connection ended before the answer. */
export class NbdGone extends Error {}

/** A client of one export with simple replies and any number of requests at a time. */
export interface NbdClient extends Disposable {
  /** Resolves when the server has ended the connection. */
  readonly closed: Promise<void>;
  ask(request: Omit<SentRequest, 'cookie'>): Promise<ReceivedReply>;
  /** Throws unless the answer is no error. */
  read(offsetBytes: number, lengthBytes: number): Promise<Buffer>;
  write(offsetBytes: number, data: Uint8Array, flags?: number): Promise<void>;
  flush(): Promise<void>;
  /** Takes leave and waits for the server to close. */
  leave(): Promise<void>;
}

/** Connects to a claim's URI without TLS. Rejects with NbdGone when there is no such claim. */
export async function connectNbd(uri: string): Promise<NbdClient> {
  const parsed = parseNbdUri(uri);
  if (parsed === null || parsed.endpoint.isTls) throw new Error(`${uri} is of no use here.`);
  const { endpoint, exportName } = parsed;
  const socket =
    endpoint.kind === 'tcp'
      ? connect({ host: endpoint.host, port: endpoint.port, noDelay: true })
      : connect(endpoint.socketPath);
  socket.on('error', () => undefined);
  // An error, such as a write to a connection that has been cut, is followed by its end.
  const closed = new Promise<void>((resolve) => {
    socket.once('close', () => resolve());
  });
  const gone = closed.then(() => Promise.reject(new NbdGone('The handshake was cut.')));
  gone.catch(() => undefined);
  await Promise.race([once(socket, 'connect').catch(() => gone), gone]);
  const hello = Buffer.concat([uint32(3), option('GO', infoData(exportName))]);
  const rest = await shakeHands(socket, hello, gone);
  return transmit(socket, rest, closed);
}

const GREETING_BYTES = 18;
const REPLY_BYTES = 20;
const REP_ACK = 1;

/** Returns what came behind the handshake. */
async function shakeHands(socket: Socket, hello: Buffer, gone: Promise<never>): Promise<Buffer> {
  socket.write(hello);
  let bytes = Buffer.alloc(0);
  let at = GREETING_BYTES;
  for (;;) {
    while (bytes.length >= at + REPLY_BYTES) {
      const type = bytes.readUInt32BE(at + 12);
      if (type >= 2 ** 31) {
        socket.destroy();
        throw new NbdGone(`The export was refused: ${type - 2 ** 31}.`);
      }
      at += REPLY_BYTES + bytes.readUInt32BE(at + 16);
      if (type === REP_ACK) return bytes.subarray(at);
    }
    const data = once(socket, 'data').catch(() => gone);
    const [piece] = (await Promise.race([data, gone])) as [Buffer];
    bytes = Buffer.concat([bytes, piece]);
  }
}

function transmit(socket: Socket, rest: Buffer, closed: Promise<void>): NbdClient {
  const awaited = new Map<number, Awaited>();
  const waiting = new Map<number, PromiseWithResolvers<ReceivedReply>>();
  const reader = new ReplyReader('simple', awaited);
  let cookie = 0;
  const take = (bytes: Buffer): void => {
    for (const reply of reader.take(bytes)) {
      waiting.get(reply.cookie)?.resolve(reply);
      waiting.delete(reply.cookie);
    }
  };
  socket.on('data', take);
  take(rest);
  void closed.then(() => {
    for (const { reject } of waiting.values()) reject(new NbdGone('The connection was cut.'));
    waiting.clear();
  });
  const ask: NbdClient['ask'] = async (request) => {
    if (socket.destroyed) throw new NbdGone('The connection was cut before.');
    cookie += 1;
    const command = typeof request.command === 'number' ? request.command : NBD_CMD[request.command];
    const lengthBytes = request.lengthBytes ?? request.data?.byteLength ?? 0;
    awaited.set(cookie, { command, offsetBytes: request.offsetBytes ?? 0, lengthBytes });
    const answer = Promise.withResolvers<ReceivedReply>();
    waiting.set(cookie, answer);
    socket.write(encodeRequest('simple', { ...request, cookie }));
    return await answer.promise;
  };
  const passed = async (request: Omit<SentRequest, 'cookie'>): Promise<Buffer> => {
    const { error, data } = await ask(request);
    if (error !== 0) throw new Error(`${String(request.command)} was answered with ${error}.`);
    return data;
  };
  return {
    closed,
    ask,
    read: (offsetBytes, lengthBytes) => passed({ command: 'READ', offsetBytes, lengthBytes }),
    write: async (offsetBytes, data, flags = 0) =>
      void (await passed({ command: 'WRITE', offsetBytes, data, flags })),
    flush: async () => void (await passed({ command: 'FLUSH' })),
    async leave() {
      socket.write(encodeRequest('simple', { command: 'DISC', cookie: 0 }));
      await closed;
    },
    [Symbol.dispose]: () => socket.destroy(),
  };
}
