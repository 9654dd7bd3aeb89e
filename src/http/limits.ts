import { MIB } from '../core/sizes.ts';

/** Every limit of the HTTP listener, in one place. */
export interface HttpLimits {
  /** The most bytes of request line and headers; more is 400. */
  readonly headerBytes: number;
  /** How long a client may take to send its headers. */
  readonly headersTimeoutMs: number;
  /** The longest that a whole request may take to arrive; above what a body at the minimum rate needs. */
  readonly requestTimeoutMs: number;
  /** How long an idle connection is kept for the next request. */
  readonly keepAliveTimeoutMs: number;
  /** How often the three timeouts above are checked. */
  readonly timeoutCheckIntervalMs: number;
  /** Connections served at once; further ones are answered 503 and closed. */
  readonly connections: number;
  /** Connections above `connections` that are being refused at once; further ones are closed unanswered. */
  readonly refusedConnections: number;
  /** The body of every command but write; more is 413. */
  readonly controlBodyBytes: number;
  /** The body of a write as sent; more is 413. */
  readonly writeBodyBytes: number;
  /** The most bytes that one read may ask for. */
  readonly readBytes: number;
  /** How long a body may make no progress at all while it is waited for. */
  readonly bodyIdleTimeoutMs: number;
  /** The least rate of a body, over the time that it is waited for, once `bodyGraceMs` of waiting have passed. */
  readonly bodyBytesPerSecond: number;
  readonly bodyGraceMs: number;
  /** Bytes of a body that are held for a slower consumer before the client is made to wait. */
  readonly bodyBufferBytes: number;
  /** How long an answer may make no progress because its client does not take it. */
  readonly outputIdleTimeoutMs: number;
  /** Pieces of a read that are with the socket at once. */
  readonly outstandingPieces: number;
  /** What is still taken of a body after its refusal, so that the client sees the answer and not a reset. */
  readonly drainBytes: number;
  readonly drainTimeoutMs: number;
  /** How long `close` waits for requests under way. */
  readonly closeTimeoutMs: number;
  /** What a 503 tells clients to wait. */
  readonly retryAfterSeconds: number;
  /** How often the TLS certificate and key are looked at for a change. */
  readonly tlsCheckIntervalMs: number;
  /** The most items that `?limit=` may ask for. */
  readonly listLimit: number;
}

export const DEFAULT_HTTP_LIMITS: HttpLimits = {
  headerBytes: 16 * 1024,
  headersTimeoutMs: 10_000,
  requestTimeoutMs: 75 * 60_000,
  keepAliveTimeoutMs: 75_000,
  timeoutCheckIntervalMs: 1_000,
  connections: 2_000,
  refusedConnections: 200,
  controlBodyBytes: 64 * 1024,
  writeBodyBytes: 64 * MIB,
  readBytes: 4 * MIB,
  bodyIdleTimeoutMs: 30_000,
  bodyBytesPerSecond: 16 * 1024,
  bodyGraceMs: 30_000,
  bodyBufferBytes: 256 * 1024,
  outputIdleTimeoutMs: 60_000,
  outstandingPieces: 4,
  drainBytes: MIB,
  drainTimeoutMs: 2_000,
  closeTimeoutMs: 30_000,
  retryAfterSeconds: 5,
  tlsCheckIntervalMs: 5_000,
  listLimit: 100_000,
};

/** What the words of a command may be like; the same for every installation, because the documents state them. */
export const INPUT_LIMITS = {
  /** Bytes of a drive's or user's name in UTF-8. */
  nameBytes: 255,
  /** Bytes of one tag in UTF-8. */
  tagBytes: 255,
  tags: 128,
  readers: 1024,
  avoid: 128,
  /** The owner's own pairs: how many, the bytes of a key after `user:`, the bytes of a value. */
  attributes: 128,
  attributeKeyBytes: 255,
  attributeValueBytes: 16 * 1024,
  idempotencyKeyCharacters: 64,
  /** The longest lease of a claim: a day. */
  leaseSeconds: 86_400,
  /** Characters of a client's own words that an error's sentence repeats. */
  quotedCharacters: 80,
} as const;
