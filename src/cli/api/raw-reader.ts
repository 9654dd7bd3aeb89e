import * as net from 'node:net';
import { ConnectionError, connectionError } from './transport.ts';
import type { TransportResponse } from './transport.ts';

const HEAD_LIMIT_BYTES = 64 * 1024;

/**
 * Receives the bodies of plain HTTP/1.1 GETs straight into the caller's memory. node:http allocates a Buffer for every
 * 64 KiB and runs JavaScript for each: measured at five times the processor time per byte of this.
 */
export interface RawReader {
  /**
   * @returns the answer when it is a 200 with a Content-Length of exactly `target.length`; null for any other, whose
   *   connection is then cut: the caller asks again in the ordinary way
   */
  receive(request: RawRequest, target: Buffer, timeoutMs: number): Promise<TransportResponse | null>;
  close(): void;
}

export interface RawRequest {
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
}

export function openRawReader(url: URL): RawReader {
  const idle: RawConnection[] = [];
  const all = new Set<RawConnection>();
  let isClosed = false;
  return {
    async receive(request, target, timeoutMs) {
      if (isClosed) throw new ConnectionError('ECANCELED', 'the transfer was stopped');
      const connection = idle.pop() ?? new RawConnection(url);
      all.add(connection);
      const answer = await connection.receive(formatRequest(url, request), target, timeoutMs);
      if (connection.isReusable && !isClosed) idle.push(connection);
      else all.delete(connection);
      return answer;
    },
    close() {
      isClosed = true;
      for (const connection of all) connection.destroy();
    },
  };
}

function formatRequest(url: URL, request: RawRequest): string {
  const lines = Object.entries(request.headers).map(([name, value]) => `${name}: ${value}\r\n`);
  return `GET ${request.path} HTTP/1.1\r\nHost: ${url.host}\r\n${lines.join('')}\r\n`;
}

/** What one request waits for. */
interface Waiting {
  readonly target: Buffer;
  resolve(answer: TransportResponse | null): void;
  reject(error: ConnectionError): void;
}

/** One connection, one request at a time. */
class RawConnection {
  readonly #url: URL;
  readonly #socket: net.Socket;
  readonly #head = Buffer.allocUnsafeSlow(HEAD_LIMIT_BYTES);
  #headBytes = 0;
  #waiting: Waiting | null = null;
  /** Set from the end of the head to the end of the body. */
  #answer: TransportResponse | null = null;
  #bodyBytes = 0;
  isReusable = true;

  constructor(url: URL) {
    this.#url = url;
    this.#socket = net.connect({
      host: url.hostname.replace(/^\[|\]$/g, ''),
      port: url.port === '' ? 80 : Number(url.port),
      noDelay: true,
      onread: {
        buffer: () => this.#freeSpace(),
        callback: (receivedBytes) => this.#onReceived(receivedBytes),
      },
    });
    this.#socket.on('error', (error) => this.#fail(error));
    this.#socket.on('end', () => this.#fail(new Error('the server closed the connection')));
    this.#socket.on('close', () => this.#fail(new Error('the connection was closed')));
    this.#socket.on('timeout', () =>
      this.#fail(new ConnectionError('ETIMEDOUT', `no answer from ${url.host}`)),
    );
  }

  receive(request: string, target: Buffer, timeoutMs: number): Promise<TransportResponse | null> {
    return new Promise((resolve, reject) => {
      this.#waiting = { target, resolve, reject };
      this.#headBytes = 0;
      this.#bodyBytes = 0;
      if (!this.isReusable) {
        this.#fail(new Error('the server closed the connection'));
        return;
      }
      this.#socket.setTimeout(timeoutMs);
      this.#socket.write(request);
    });
  }

  destroy(): void {
    this.#fail(new ConnectionError('ECANCELED', 'the transfer was stopped'));
  }

  /** Where the next bytes go: into the head until it is complete, then straight to where the caller wants them. */
  #freeSpace(): Buffer {
    if (this.#answer !== null && this.#waiting !== null)
      return this.#waiting.target.subarray(this.#bodyBytes);
    return this.#headBytes < HEAD_LIMIT_BYTES ? this.#head.subarray(this.#headBytes) : this.#head;
  }

  #onReceived(receivedBytes: number): boolean {
    if (this.#answer === null) this.#onHeadBytes(receivedBytes);
    else this.#bodyBytes += receivedBytes;
    if (this.#answer !== null && this.#bodyBytes === this.#waiting?.target.length) this.#finish(this.#answer);
    return true;
  }

  #onHeadBytes(receivedBytes: number): void {
    this.#headBytes += receivedBytes;
    const received = this.#head.subarray(0, this.#headBytes);
    const endBytes = received.indexOf('\r\n\r\n');
    if (endBytes < 0) {
      if (this.#headBytes === HEAD_LIMIT_BYTES) this.#giveUp();
      return;
    }
    const answer = parseHead(received.toString('latin1', 0, endBytes));
    const target = this.#waiting?.target;
    const body = received.subarray(endBytes + 4);
    const isPlain = answer?.status === 200 && answer.headers['content-length'] === String(target?.length);
    if (answer === null || target === undefined || !isPlain || body.length > target.length)
      return this.#giveUp();
    if (answer.headers['connection']?.toLowerCase() === 'close') this.isReusable = false;
    this.#bodyBytes = body.copy(target);
    this.#answer = { ...answer, body: target };
  }

  #finish(answer: TransportResponse): void {
    const waiting = this.#waiting;
    this.#waiting = null;
    this.#answer = null;
    this.#headBytes = 0;
    this.#socket.setTimeout(0);
    if (!this.isReusable) this.#socket.destroy();
    waiting?.resolve(answer);
  }

  #giveUp(): void {
    const waiting = this.#waiting;
    this.#waiting = null;
    this.isReusable = false;
    this.#socket.destroy();
    waiting?.resolve(null);
  }

  #fail(error: unknown): void {
    const waiting = this.#waiting;
    this.#waiting = null;
    this.isReusable = false;
    this.#socket.destroy();
    waiting?.reject(connectionError(this.#url, error));
  }
}

function parseHead(head: string): { status: number; headers: Record<string, string> } | null {
  const [statusLine = '', ...lines] = head.split('\r\n');
  const status = /^HTTP\/1\.1 ([0-9]{3})/.exec(statusLine)?.[1];
  if (status === undefined) return null;
  const headers: Record<string, string> = {};
  for (const line of lines) {
    const colon = line.indexOf(':');
    if (colon > 0) headers[line.slice(0, colon).toLowerCase()] = line.slice(colon + 1).trim();
  }
  return { status: Number(status), headers };
}
