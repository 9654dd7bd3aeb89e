import type * as Http from 'node:http';
import { openRawReader, type RawReader } from './raw-reader.ts';
import { ConnectionError, connectionError } from './transport.ts';
import type { Transport, TransportOptions, TransportRequest, TransportResponse } from './transport.ts';

// An import statement would load fetch as well, a tenth of a second that every command would wait for.
const http = process.getBuiltinModule('node:http');
const https = process.getBuiltinModule('node:https');

const SILENCE_MS = 120_000;

/** Carries requests by node:http with kept connections; bodies of plain HTTP answers come by a way with fewer copies. */
export function openHttpTransport(options: TransportOptions): Transport {
  return new HttpTransport(options);
}

class HttpTransport implements Transport {
  readonly #options: TransportOptions;
  readonly #agent: Http.Agent;
  readonly #rawReader: RawReader | null;
  readonly #basePath: string;
  #hasAnswered = false;

  constructor(options: TransportOptions) {
    this.#options = options;
    const pool = { keepAlive: true, maxSockets: options.connections };
    const isTls = options.url.protocol === 'https:';
    this.#agent = isTls
      ? new https.Agent(options.ca === null ? pool : { ...pool, ca: options.ca })
      : new http.Agent(pool);
    this.#basePath = options.url.pathname.replace(/\/+$/, '');
    this.#rawReader = isTls ? null : openRawReader(options.url);
  }

  send(request: TransportRequest): Promise<TransportResponse> {
    return this.#exchange(request, null);
  }

  async receive(request: TransportRequest, target: Buffer): Promise<TransportResponse> {
    const quick = await this.#rawReader?.receive(
      { path: this.#basePath + request.path, headers: this.#headers(request) },
      target,
      request.timeoutMs ?? SILENCE_MS,
    );
    // Anything but the plain good answer is asked again in the ordinary way, which understands all of HTTP.
    return quick ?? this.#exchange(request, target);
  }

  close(): void {
    this.#agent.destroy();
    this.#rawReader?.close();
  }

  #headers(request: TransportRequest): Record<string, string> {
    const { auth } = this.#options;
    const login = auth === null ? {} : { authorization: `Basic ${Buffer.from(auth).toString('base64')}` };
    const length =
      request.method === 'POST' ? { 'content-length': String(Buffer.byteLength(request.body ?? '')) } : {};
    return { accept: 'application/json', ...login, ...length, ...request.headers };
  }

  #exchange(request: TransportRequest, target: Buffer | null): Promise<TransportResponse> {
    const { url } = this.#options;
    const makeRequest = url.protocol === 'https:' ? https.request : http.request;
    return new Promise((resolve, reject) => {
      const outgoing = makeRequest({
        agent: this.#agent,
        host: url.hostname.replace(/^\[|\]$/g, ''),
        port: url.port,
        method: request.method,
        path: this.#basePath + request.path,
        headers: this.#headers(request),
        timeout: request.timeoutMs ?? SILENCE_MS,
      });
      const fail = (error: unknown): void => {
        reject(connectionError(url, error, { hasAnswered: this.#hasAnswered }));
      };
      outgoing.on('error', fail);
      outgoing.on('timeout', () =>
        outgoing.destroy(new ConnectionError('ETIMEDOUT', `no answer from ${url.host}`)),
      );
      outgoing.on('response', (incoming) => {
        this.#hasAnswered = true;
        collect(incoming, target).then((body) => {
          // An answer that came before all was sent: the rest of the body must not follow on this connection.
          if (!outgoing.writableFinished) outgoing.destroy();
          resolve({ status: incoming.statusCode ?? 0, headers: plainHeaders(incoming), body });
        }, fail);
      });
      outgoing.end(request.body);
    });
  }
}

/** Receives a body into `target` when it is the 200 that fits, else into memory of its own. */
async function collect(incoming: Http.IncomingMessage, target: Buffer | null): Promise<Buffer> {
  const fits = incoming.statusCode === 200 && incoming.headers['content-length'] === String(target?.length);
  if (target === null || !fits) return Buffer.concat((await incoming.toArray()) as Buffer[]);
  let filledBytes = 0;
  for await (const chunk of incoming as AsyncIterable<Buffer>) filledBytes += chunk.copy(target, filledBytes);
  return target;
}

function plainHeaders(incoming: Http.IncomingMessage): Record<string, string> {
  return Object.fromEntries(Object.entries(incoming.headers).map(([name, value]) => [name, String(value)]));
}
