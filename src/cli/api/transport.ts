import { systemCode } from '../cli-error.ts';

/** How to reach a server. */
export interface TransportOptions {
  readonly url: URL;
  /** `USER:KEY`, null to send none. */
  readonly auth: string | null;
  /** PEM of a private certificate authority. */
  readonly ca: string | null;
  /** The most connections at once. */
  readonly connections: number;
}

export type OpenTransport = (options: TransportOptions) => Transport;

export interface TransportRequest {
  readonly method: 'GET' | 'POST';
  /** Path and query, below the server's URL. */
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>> | undefined;
  readonly body?: Buffer | string | undefined;
  /** Whether doing it twice is the same as once; only then is a request whose connection broke sent again. */
  readonly isRepeatable: boolean;
  /** The longest silence; a request that the server works on for long needs more than usual. */
  readonly timeoutMs?: number | undefined;
}

export interface TransportResponse {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
}

/** What carries requests. A connection that fails is a `ConnectionError`; any status is an answer. */
export interface Transport {
  send(request: TransportRequest): Promise<TransportResponse>;
  /** A GET whose 200 has exactly as many bytes as `target`, received there; any other answer has its body in `body`. */
  receive(request: TransportRequest, target: Buffer): Promise<TransportResponse>;
  /** Cuts all connections; what is under way fails. */
  close(): void;
}

/** The connection could not be made, or broke, or stayed silent. */
export class ConnectionError extends Error {
  /** The system's code, such as ECONNREFUSED. */
  readonly code: string;

  constructor(code: string, sentence: string, cause?: unknown) {
    super(sentence, cause === undefined ? undefined : { cause });
    this.name = 'ConnectionError';
    this.code = code;
  }
}

/**
 * Names the server and the trouble in one sentence.
 *
 * @param server whether it has answered anything before: who speaks TLS closes a connection that begins otherwise
 */
export function connectionError(url: URL, error: unknown, server = { hasAnswered: true }): ConnectionError {
  if (error instanceof ConnectionError) return error;
  const code = systemCode(error) ?? 'ECONNRESET';
  if (UNTRUSTED.has(code)) {
    const sentence =
      `cannot trust ${url.origin}: its certificate (${code}) comes from no authority that is known here; ` +
      'name the authority with --ca or DRIVEBAY_CA';
    return new ConnectionError(code, sentence, error);
  }
  const message = error instanceof Error && error.message !== '' ? error.message : code;
  const mayBeTls = url.protocol === 'http:' && code === 'ECONNRESET' && !server.hasAnswered;
  // What OpenSSL says of bytes that are no TLS has many lines, and not this.
  const isPlain = code === 'EPROTO' && message.includes('wrong version number');
  const reason = isPlain
    ? 'it does not speak TLS there; should the URL begin with http://?'
    : mayBeTls
      ? 'it closed the connection without an answer; does it speak TLS, and should the URL begin with https://?'
      : message;
  return new ConnectionError(code, `cannot reach ${url.origin}: ${reason}`, error);
}

/** What OpenSSL calls a certificate whose authority it does not know. */
const UNTRUSTED: ReadonlySet<string> = new Set([
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
]);
