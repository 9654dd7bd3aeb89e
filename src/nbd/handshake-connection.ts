import type { Socket } from 'node:net';
import { type SecureContext, TLSSocket } from 'node:tls';

/** Why a connection ended by itself or by the clock, rather than by the rules of the protocol. */
export type EndReason = 'client-left' | 'connection-lost' | 'tls-failed' | 'too-slow' | 'stopping';

/** The connection ended while something was waited for. */
export class ConnectionEnded extends Error {
  readonly reason: EndReason;

  constructor(reason: EndReason) {
    super(`The connection ended: ${reason}.`);
    this.name = 'ConnectionEnded';
    this.reason = reason;
  }
}

/** The part of Node's own handle of a socket that stops it from taking bytes from the kernel; there is no other way. */
interface ReadingHandle {
  reading: boolean;
  readStop(): number;
}

/**
 * A socket during the handshake: read piece by piece as asked for, with or without TLS. Everything that is waited for
 * rejects with ConnectionEnded once the connection has ended.
 */
export class HandshakeConnection {
  #socket: Socket;
  readonly #ended = Promise.withResolvers<never>();
  readonly #onEnd = (): void => this.giveUp('client-left');
  readonly #onLost = (): void => this.giveUp('connection-lost');
  readonly #onTlsLost = (): void => this.giveUp('tls-failed');

  constructor(socket: Socket) {
    this.#socket = socket;
    // That it ended matters only to whoever waits for something.
    this.#ended.promise.catch(() => undefined);
    socket.on('error', ignoreError);
    this.#watch(socket);
    // What happened before somebody listened is not told again.
    if (socket.destroyed) this.#onLost();
  }

  get socket(): Socket {
    return this.#socket;
  }

  giveUp(reason: EndReason): void {
    this.#ended.reject(new ConnectionEnded(reason));
  }

  /** Waits for the work unless the connection ends before. */
  async unlessEnded<Result>(work: Promise<Result>): Promise<Result> {
    return await Promise.race([work, this.#ended.promise]);
  }

  async read(): Promise<Buffer> {
    const { promise, resolve } = Promise.withResolvers<Buffer>();
    const socket = this.#socket;
    socket.once('data', (piece: Buffer) => {
      socket.pause();
      resolve(piece);
    });
    socket.resume();
    return await this.unlessEnded(promise);
  }

  /** Returns when the bytes are with the kernel. */
  async write(bytes: Buffer): Promise<void> {
    if (bytes.length === 0) return;
    const { promise, resolve } = Promise.withResolvers<undefined>();
    this.#socket.write(bytes, () => resolve(undefined));
    await this.unlessEnded(promise);
  }

  /**
   * Stops reading. Of a plain socket nothing more is taken from the kernel from now on.
   *
   * @returns what had been taken already
   */
  stopReading(): Buffer {
    const socket = this.#socket;
    socket.pause();
    if (socket instanceof TLSSocket) return Buffer.alloc(0);
    const pieces: Buffer[] = [];
    for (let piece = take(socket); piece !== null; piece = take(socket)) pieces.push(piece);
    // Taking made the stream ask its handle for more. It asks again only when that has come, and it will not come.
    const handle = (socket as unknown as { _handle: ReadingHandle | null })._handle;
    if (handle === null) throw new ConnectionEnded('connection-lost');
    handle.reading = false;
    handle.readStop();
    return Buffer.concat(pieces);
  }

  /** Makes the connection one of TLS, as its server. Reading must have been stopped. */
  async startTls(secureContext: SecureContext): Promise<void> {
    const plain = this.#socket;
    this.#unwatch(plain);
    const { promise, resolve } = Promise.withResolvers<undefined>();
    const socket = new TLSSocket(plain, { isServer: true, secureContext });
    socket.on('error', ignoreError);
    socket.on('close', this.#onTlsLost).on('end', this.#onTlsLost);
    socket.once('secure', () => resolve(undefined));
    this.#socket = socket;
    await this.unlessEnded(promise);
    socket.off('close', this.#onTlsLost).off('end', this.#onTlsLost);
    this.#watch(socket);
  }

  /** Lets the client take what it was sent, and ends. */
  async close(lastMoment: Promise<void>): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<undefined>();
    this.#socket.once('close', () => resolve(undefined));
    this.#socket.resume();
    this.#socket.end();
    await Promise.race([promise, lastMoment]);
    this.destroy();
  }

  destroy(): void {
    this.#socket.destroy();
  }

  /** Gives the socket away, paused. One listener stays that ignores errors, so that none can come while nobody listens. */
  release(): Socket {
    this.#unwatch(this.#socket);
    return this.#socket;
  }

  #watch(socket: Socket): void {
    socket.on('end', this.#onEnd).on('error', this.#onLost).on('close', this.#onLost);
  }

  #unwatch(socket: Socket): void {
    socket.off('end', this.#onEnd).off('error', this.#onLost).off('close', this.#onLost);
  }
}

function ignoreError(): void {
  // Every error is followed by `close`.
}

function take(socket: Socket): Buffer | null {
  return socket.read() as Buffer | null;
}
