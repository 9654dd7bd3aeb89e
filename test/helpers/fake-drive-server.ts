import { createHash, randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { gunzipSync } from 'node:zlib';
import { gmacOf } from '../../src/runtime/gmac.ts';

const BLOCK_BYTES = 4 * 1024 * 1024;
const ZERO_BLOCK = Buffer.alloc(BLOCK_BYTES);

export const FAKE_USER = '11111111-1111-4111-8111-111111111111';
export const FAKE_AUTH = `${FAKE_USER}:secret`;

/** One drive: its info as the API gives it, and its bytes. */
export interface FakeDrive {
  readonly info: Record<string, string | number>;
  readonly bytes: Buffer;
}

export interface FakeRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingMessage['headers'];
  readonly bodyBytes: number;
}

/** What to do in place of the ordinary answer; undefined for the ordinary one. */
export interface Intervention {
  /** Cut the connection. */
  readonly cut?: 'before' | 'after';
  readonly status?: number;
  readonly headers?: Record<string, string>;
  readonly body?: string;
  /** Answer as ordinary, but with this digest. */
  readonly digest?: string | null;
}

/** The part of the Drive API that the client commands use, over buffers; what it was asked is kept for tests. */
export class FakeDriveServer {
  readonly drives = new Map<string, FakeDrive>();
  readonly standardDrives: FakeDrive[] = [];
  readonly users: Record<string, string>[] = [];
  /** What `claims` lists. */
  readonly claims: Record<string, string>[] = [];
  /** What `activity` lists. */
  activity: Record<string, string>[] = [];
  /** What `claim` answers besides what it was asked for. */
  attachUris: Record<string, string> = {};
  readonly requests: FakeRequest[] = [];
  readonly bodies: string[] = [];
  /** Decides for each request whether something else than the ordinary answer is wanted. */
  intervene: (request: FakeRequest) => Intervention | undefined = () => undefined;
  /** Of bodies of requests. */
  receivedBytes = 0;
  hasMap = true;
  url = '';
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  constructor() {
    this.#server = createServer((request, response) => {
      this.#serve(request, response).catch((error: unknown) => response.destroy(error as Error));
    });
    this.#server.on('connection', (socket) => {
      this.#sockets.add(socket);
      socket.on('close', () => this.#sockets.delete(socket));
    });
  }

  async listen(): Promise<this> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    this.url = `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
    return this;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  addDrive(bytes: Buffer, info: Record<string, string> = {}): string {
    const driveId = info['drive'] ?? randomUUID();
    const size = bytes.length;
    const fixed = { status: 'active', 'claim:type': 'exclusive', tier: 'disk', 'encryption:cipher': 'none' };
    this.drives.set(driveId, { info: { drive: driveId, user: FAKE_USER, size, ...fixed, ...info }, bytes });
    return driveId;
  }

  bytesOf(driveId: string): Buffer {
    return this.drives.get(driveId)?.bytes ?? Buffer.alloc(0);
  }

  /** How often a path was asked for. */
  count(pattern: RegExp): number {
    return this.requests.filter(({ method, path }) => pattern.test(`${method} ${path}`)).length;
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request as AsyncIterable<Buffer>) {
      chunks.push(chunk);
      this.receivedBytes += chunk.length;
    }
    const body = Buffer.concat(chunks);
    const seen = {
      method: request.method ?? '',
      path: request.url ?? '',
      headers: request.headers,
      bodyBytes: body.length,
    };
    this.requests.push(seen);
    const intervention = this.intervene(seen);
    if (intervention?.cut === 'before') return void request.socket.destroy();
    if (intervention?.status !== undefined) {
      const body = intervention.body ?? '';
      const length = { 'content-length': Buffer.byteLength(body) };
      return void response.writeHead(intervention.status, { ...length, ...intervention.headers }).end(body);
    }
    const login = `Basic ${Buffer.from(FAKE_AUTH).toString('base64')}`;
    const answer =
      request.headers.authorization === login ? this.#answer(seen, body) : refuse(401, 'auth', 'Bad key.');
    if (intervention?.cut === 'after') return void request.socket.destroy();
    const headers = { ...answer.headers, ...digestHeaders(seen, answer, intervention) };
    response.writeHead(answer.status, { 'content-length': answer.body.length, ...headers }).end(answer.body);
  }

  #answer(request: FakeRequest, body: Buffer): Answer {
    const url = new URL(request.path, 'http://fake');
    const [area, ...words] = url.pathname.split('/').filter((word) => word !== '');
    if (area === 'admin') return this.#administer(words, body);
    const [first = '', command = 'info', ...rest] = words;
    if (first === 'info') {
      const standard = words[1] === 'standard' ? this.standardDrives : [...this.drives.values()];
      return json(standard.map(({ info }) => info));
    }
    if (first === 'activity') return json(this.activity);
    if (first === 'create') return this.#create(fieldsOf(body));
    const drive = this.drives.get(first) ?? this.standardDrives.find(({ info }) => info['drive'] === first);
    if (drive === undefined) return refuse(404, 'missing', `Drive ${first} could not be found.`);
    if (command === 'read')
      return bytes(drive.bytes.subarray(Number(rest[0]), Number(rest[0]) + Number(rest[1])));
    if (command === 'write') return write(drive, Number(rest[0] ?? 0), request, body);
    if (command === 'map' && this.hasMap) return json(blockMap(drive, url.searchParams));
    if (command === 'info') return json(drive.info);
    if (command === 'image') return NOTHING;
    if (command === 'claims') return json(this.claims);
    if (command === 'claim' || command === 'release') {
      this.bodies.push(body.toString());
      return command === 'release'
        ? NOTHING
        : json({ drive: first, ...fieldsOf(body), epoch: '3', ...this.attachUris });
    }
    if (command === 'destroy') {
      this.drives.delete(first);
      return NOTHING;
    }
    if (command === 'set') {
      this.bodies.push(body.toString());
      return json(Object.assign(drive.info, fieldsOf(body)));
    }
    return refuse(404, 'missing', `The command ${command} could not be found.`);
  }

  #create(fields: Record<string, string>): Answer {
    this.bodies.push(JSON.stringify(fields));
    const { size = '', ...info } = fields;
    return json(this.drives.get(this.addDrive(Buffer.alloc(Number(size)), info))?.info);
  }

  #administer(words: readonly string[], body: Buffer): Answer {
    if (body.length > 0) this.bodies.push(body.toString());
    const path = words.join('/');
    if (path === 'users/create') return json({ user: FAKE_USER, ...fieldsOf(body), key: 'shown-once' });
    if (path === 'users/info') return json(this.users);
    if (path === 'pools/info')
      return json([
        { pool: 'default', domain: 'here', 'total:bytes': String(2 ** 40) },
        { pool: 'away', domain: 'there', status: 'inactive', reason: 'Pool away: mount its disk.' },
      ]);
    if (path === 'nodes') return json([{ node: 'n1', host: 'vm1', address: 'vm1:8600', state: 'gone' }]);
    if (path === 'drives/info') return json([...this.drives.values()].map(({ info }) => info));
    if (path === 'drives/activity') return json(this.activity);
    if (path === 'master-key/rotate') return json({ drives: '3' });
    if (path.endsWith('/key/export')) return json({ drive: words[1] ?? '', passphrase: 'open sesame' });
    if (path.endsWith('/key/rotate')) return json({ user: words[1] ?? '', key: 'new-key' });
    const drive = words[0] === 'drives' ? this.drives.get(words[1] ?? '') : undefined;
    if (drive !== undefined) return json(drive.info);
    const user = this.users.find((candidate) => candidate['user'] === words[1]);
    return user === undefined
      ? refuse(404, 'missing', 'User could not be found.')
      : json({ ...user, ...fieldsOf(body) });
  }
}

interface Answer {
  readonly status: number;
  readonly headers: Record<string, string>;
  readonly body: Buffer;
}

const NOTHING: Answer = { status: 204, headers: {}, body: Buffer.alloc(0) };

function json(value: unknown): Answer {
  return {
    status: 200,
    headers: { 'content-type': 'application/json' },
    body: Buffer.from(JSON.stringify(value)),
  };
}

function bytes(body: Buffer): Answer {
  return { status: 200, headers: { 'content-type': 'application/octet-stream' }, body };
}

function refuse(status: number, error: string, message: string): Answer {
  return { ...json({ error, message }), status, headers: { 'x-elastic-error': error } };
}

function fieldsOf(body: Buffer): Record<string, string> {
  return body.length === 0 ? {} : (JSON.parse(body.toString()) as Record<string, string>);
}

function sha256(content: Buffer, encoding: 'hex' | 'base64'): string {
  return createHash('sha256').update(content).digest(encoding);
}

function digestHeaders(
  request: FakeRequest,
  answer: Answer,
  intervention?: Intervention,
): Record<string, string> {
  if (request.headers['want-content-digest'] === undefined || intervention?.digest === null) return {};
  const digest = intervention?.digest ?? gmacOf([answer.body]).toString('base64');
  return { 'content-digest': `aes-128-gmac=:${digest}:` };
}

function write(drive: FakeDrive, offsetBytes: number, request: FakeRequest, body: Buffer): Answer {
  const digest = request.headers['content-digest'];
  if (digest !== `aes-128-gmac=:${gmacOf([body]).toString('base64')}:`)
    return refuse(400, 'usage', 'The digest does not fit.');
  const data = request.headers['content-encoding'] === 'gzip' ? gunzipSync(body) : body;
  if (offsetBytes + data.length > drive.bytes.length)
    return refuse(400, 'usage', 'The write is past the end.');
  data.copy(drive.bytes, offsetBytes);
  return NOTHING;
}

function blockMap(drive: FakeDrive, query: URLSearchParams): object[] {
  const first = Number(query.get('offset') ?? 0);
  const end = first + Number(query.get('size') ?? drive.bytes.length);
  const blocks: object[] = [];
  for (let offset = first; offset < end; offset += BLOCK_BYTES) {
    const block = drive.bytes.subarray(offset, Math.min(offset + BLOCK_BYTES, end));
    const isZero = block.equals(ZERO_BLOCK.subarray(0, block.length));
    const state = isZero ? { zero: 'true' } : query.has('hash') ? { sha256: sha256(block, 'hex') } : {};
    blocks.push({ offset: String(offset), size: String(block.length), ...state });
  }
  return blocks;
}
