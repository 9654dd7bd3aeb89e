import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { pino } from 'pino';
import { Registry } from 'prom-client';
import type { HttpAddress, HttpServer } from '../../src/http/http-server.ts';
import { createHttpServer } from '../../src/http/http-server.ts';
import { DEFAULT_HTTP_LIMITS } from '../../src/http/limits.ts';
import type { HttpLimits } from '../../src/http/limits.ts';
import type { HttpClock } from '../../src/http/request-body.ts';
import type { TlsFiles } from '../../src/runtime/tls-files.ts';
import type { Service } from '../../src/service/service.ts';
import { fakeService, KEY, OWNER } from './fake-service.ts';

export interface Harness extends AsyncDisposable {
  readonly server: HttpServer;
  readonly metrics: Registry;
  /** What was logged, parsed. */
  readonly lines: Record<string, unknown>[];
}

export interface HarnessOptions {
  readonly service?: Service;
  readonly limits?: Partial<HttpLimits>;
  readonly clock?: HttpClock;
  readonly tls?: TlsFiles;
}

/** A listener over a fake service, whose log is kept for the test to look at. */
export async function httpHarness(options: HarnessOptions = {}): Promise<Harness> {
  const lines: Record<string, unknown>[] = [];
  const logger = pino(
    { level: 'info' },
    { write: (line: string) => void lines.push(JSON.parse(line) as Record<string, unknown>) },
  );
  const metrics = new Registry();
  const server = await createHttpServer({
    service: options.service ?? fakeService().service,
    logger,
    metrics,
    clock: options.clock ?? { nowMs: () => performance.now() },
    limits: { ...DEFAULT_HTTP_LIMITS, ...options.limits },
    tls: options.tls ?? null,
    host: '127.0.0.1',
    port: 0,
  });
  return { server, metrics, lines, [Symbol.asyncDispose]: () => server.close() };
}

/** The harness, listening. */
export async function listeningHarness(
  options: HarnessOptions = {},
): Promise<Harness & { readonly address: HttpAddress }> {
  const harness = await httpHarness(options);
  return { ...harness, address: await harness.server.listen() };
}

export function basicAuth(userId = OWNER, key = KEY): string {
  return `Basic ${Buffer.from(`${userId}:${key}`).toString('base64')}`;
}

export interface InjectOptions {
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
  readonly user?: string;
}

export interface InjectedAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly text: string;
}

/** One request with the owner's credentials, without a socket. */
export async function request(
  { server }: Harness,
  method: string,
  url: string,
  { headers = {}, body, user = OWNER }: InjectOptions = {},
): Promise<InjectedAnswer> {
  const answer = await server.app.inject({
    method: method as 'GET',
    url,
    headers: { authorization: basicAuth(user), ...headers },
    ...(body === undefined ? {} : { payload: typeof body === 'string' ? body : Buffer.from(body) }),
  });
  return { status: answer.statusCode, headers: answer.headers, text: answer.payload };
}

/** A connection on which a test says exactly what it wants. */
export interface RawClient extends Disposable {
  readonly socket: Socket;
  /** What has come so far. */
  received(): string;
  send(text: string | Uint8Array): void;
  /** Waits until what has come contains the words. */
  until(words: string): Promise<string>;
  /** Waits until the server has closed; says how. */
  closed(): Promise<{ text: string; isReset: boolean }>;
}

export function rawClient({ host, port }: HttpAddress): RawClient {
  const socket = connect({ host, port });
  let text = '';
  let isReset = false;
  let isClosed = false;
  let wake = (): void => undefined;
  socket.setEncoding('latin1');
  socket.on('data', (chunk: string) => {
    text += chunk;
    wake();
  });
  socket.on('error', () => {
    isReset = true;
  });
  socket.on('close', () => {
    isClosed = true;
    wake();
  });
  const isOver = (): boolean => isClosed;
  const settle = (): Promise<void> =>
    new Promise<void>((resolve) => {
      wake = resolve;
    });
  return {
    socket,
    received: () => text,
    send: (bytes) => void socket.write(bytes),
    until: async (words) => {
      while (!text.includes(words)) {
        if (isClosed) throw new Error(`closed before "${words}" came; got: ${text}`);
        await settle();
      }
      return text;
    },
    closed: async () => {
      while (!isOver()) await settle();
      return { text, isReset };
    },
    [Symbol.dispose]: () => socket.destroy(),
  };
}

/** The head of a request with the owner's credentials. */
export function head(requestLine: string, headers: Readonly<Record<string, string | number>> = {}): string {
  const all = { Host: 'test', Authorization: basicAuth(), ...headers };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
  return `${requestLine} HTTP/1.1\r\n${lines.join('')}\r\n`;
}
