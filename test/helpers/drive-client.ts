import { request } from 'node:http';
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import { once } from 'node:events';

export interface Call {
  readonly method?: string;
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
}

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly bytes: Buffer;
  readonly text: string;
}

/** Drive info as JSON gives it. */
export type Info = Readonly<Record<string, string | number>>;

/** A user of the HTTP API, as plain as curl: nothing is retried, and a refusal is an answer like any other. */
export interface DriveClient {
  readonly port: number;
  send(call: Call): Promise<Answer>;
  get(path: string): Promise<Answer>;
  /** A text body. */
  post(path: string, body?: string): Promise<Answer>;
  write(
    driveAndOffset: string,
    data: Uint8Array,
    headers?: Readonly<Record<string, string>>,
  ): Promise<Answer>;
  /** The answer in JSON; throws when the call is refused. */
  json(path: string, body?: string): Promise<unknown>;
  /** A new drive's UUID. */
  create(pairs: string): Promise<string>;
  info(drive: string): Promise<Info>;
  /** Any range, in pieces of 4 MiB. */
  read(drive: string, offset: number, sizeBytes: number): Promise<Buffer>;
}

const PIECE_BYTES = 4 * 1024 * 1024;

/** A user of one server. */
export function createDriveClient(options: {
  readonly port: number;
  readonly auth: string | null;
}): DriveClient {
  return clientOver({ port: () => options.port, send: (call) => sendOnce(options, call) });
}

/** A user whose requests go this way. */
export function clientOver({
  port,
  send,
}: {
  readonly port: () => number;
  readonly send: DriveClient['send'];
}): DriveClient {
  const json = async (path: string, body?: string): Promise<unknown> => {
    const headers = { accept: 'application/json' };
    const call = body === undefined ? { path, headers } : { method: 'POST', path, headers, body };
    return JSON.parse(passed(await send(call), path).text) as unknown;
  };
  return {
    get port() {
      return port();
    },
    send,
    json,
    get: (path) => send({ path }),
    post: (path, body = '') => send({ method: 'POST', path, body }),
    write: (driveAndOffset, data, headers = {}) => {
      const [drive, offset] = driveAndOffset.split('/');
      const path = `/drives/${drive}/write${offset === undefined ? '' : `/${offset}`}`;
      return send({ method: 'POST', path, headers, body: data });
    },
    create: async (pairs) => String(((await json('/drives/create', pairs)) as Info)['drive']),
    info: async (drive) => (await json(`/drives/${drive}/info/full`)) as Info,
    read: async (drive, offset, sizeBytes) => {
      const pieces: Buffer[] = [];
      for (let at = offset; at < offset + sizeBytes; at += PIECE_BYTES) {
        const path = `/drives/${drive}/read/${at}/${Math.min(PIECE_BYTES, offset + sizeBytes - at)}`;
        pieces.push(passed(await send({ path }), path).bytes);
      }
      return Buffer.concat(pieces);
    },
  };
}

function passed(answer: Answer, path: string): Answer {
  if (answer.status >= 300) throw new Error(`${path}: ${answer.status} ${answer.text}`);
  return answer;
}

async function sendOnce(
  { port, auth }: { readonly port: number; readonly auth: string | null },
  call: Call,
): Promise<Answer> {
  const sent = request({
    host: '127.0.0.1',
    port,
    method: call.method ?? 'GET',
    path: call.path,
    agent: false,
    headers: {
      ...(auth === null ? {} : { authorization: `Basic ${Buffer.from(auth).toString('base64')}` }),
      ...(call.body === undefined || 'transfer-encoding' in (call.headers ?? {})
        ? {}
        : { 'content-length': Buffer.byteLength(call.body) }),
      ...call.headers,
    },
  });
  sent.end(call.body);
  // A refusal may come, and the connection end, before all of the body is sent; once() rejects when nothing came.
  sent.on('error', () => undefined);
  const [message] = (await once(sent, 'response')) as [IncomingMessage];
  const bytes = Buffer.concat((await message.toArray()) as Buffer[]);
  return { status: message.statusCode ?? 0, headers: message.headers, bytes, text: bytes.toString('utf8') };
}
