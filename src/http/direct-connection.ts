import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { DetachedBody } from './detached-body.ts';
import { frameOf } from './request-framing.ts';

/** Where in the stream of requests a connection is. */
type Position =
  | { readonly kind: 'head' }
  | { readonly kind: 'body'; readonly leftBytes: number }
  | { readonly kind: 'detached'; readonly body: DetachedBody }
  /** From here on only Node's parser knows. */
  | { readonly kind: 'unclear' };

/** The parts of a socket's handle that Node does not document, and that have been there from its beginning. */
interface Handle {
  readonly fd: number;
  reading: boolean;
  readStop(): number;
}

const HEAD_END = '\r\n\r\n';
const NO_BYTES = Buffer.alloc(0);

/**
 * A client's connection on its way to Node's HTTP server. All bytes pass through but the bodies of writes: those stay
 * behind, so that a thread can receive them straight into the memory that they are written from. Answers can go past
 * the HTTP server in the same way, while `silently` keeps it from saying them again.
 */
export class DirectConnection extends Duplex {
  readonly #socket: Socket;
  /** Begins to read again, also where a read that came to nothing has made the stream wait for its end. */
  readonly #readOn: () => void;
  #position: Position = { kind: 'head' };
  /** What has come and may not pass yet. */
  #held: Buffer = NO_BYTES;
  #isReleasing = false;
  #isAnswering = false;
  #hasEnded = false;
  #isSilent = false;

  /** @param socket a connection that nothing has been read from */
  constructor(socket: Socket) {
    super({ allowHalfOpen: true });
    this.#socket = socket;
    // Reading ahead would take bytes from the thread that the socket is lent to.
    const readOn = socket._read.bind(socket);
    socket._read = (size) => {
      if (this.#mayRead()) readOn(size);
    };
    this.#readOn = () => {
      socket.resume();
      readOn(0);
    };
    socket.on('data', (chunk: Buffer) => this.#take(chunk));
    socket.on('end', () => this.#takeEnd());
    socket.on('timeout', () => this.emit('timeout'));
    socket.on('error', (error) => this.destroy(error));
    socket.on('close', () => this.destroy());
    this.on('resume', () => this.#releaseSoon());
  }

  get remoteAddress(): string | undefined {
    return this.#socket.remoteAddress;
  }

  /** The descriptor of the socket, for as long as all that was written has been sent; null otherwise. */
  get idleDescriptor(): number | null {
    const isIdle = this.writableLength === 0 && this.#socket.writableLength === 0;
    return isIdle ? this.#descriptor : null;
  }

  /** Keeps the next request back until this answer is through, so that no body is waiting for its request to begin. */
  waitFor(res: ServerResponse): void {
    this.#isAnswering = true;
    res.once('close', () => {
      this.#isAnswering = false;
      this.#releaseSoon();
    });
  }

  /** Hands over the body of the write whose head has just passed, when it has stayed behind. */
  takeBody(): DetachedBody | null {
    if (this.#position.kind !== 'detached' || this.#position.body.isTaken) return null;
    const { body } = this.#position;
    body.isTaken = true;
    const held = this.#held;
    this.#held = held.subarray(body.receive(held));
    if (this.#hasEnded) this.#releaseSoon();
    return body;
  }

  get #descriptor(): number | null {
    const descriptor = this.destroyed ? -1 : (handleOf(this.#socket)?.fd ?? -1);
    return descriptor < 0 ? null : descriptor;
  }

  /** The descriptor, unless the stream above it has read ahead: who reads from it then would miss those bytes. */
  get #freshDescriptor(): number | null {
    return this.#socket.readableLength === 0 ? this.#descriptor : null;
  }

  /** From now on, what is written is taken to have been sent already, until the function it returns is called. */
  silence(): () => void {
    this.#isSilent = true;
    return () => {
      this.#isSilent = false;
    };
  }

  setTimeout(timeoutMs: number): this {
    this.#socket.setTimeout(timeoutMs);
    return this;
  }

  setNoDelay(isOn?: boolean): this {
    this.#socket.setNoDelay(isOn);
    return this;
  }

  /** Closes the connection once everything written has been sent. */
  destroySoon(): void {
    if (this.writable) this.end();
    if (this.writableFinished) this.destroy();
    else this.once('finish', () => this.destroy());
  }

  override _read(): void {
    if (this.#held.byteLength === 0 && this.#mayRead()) this.#readOn();
    else this.#releaseSoon();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    if (this.#isSilent) done();
    else this.#socket.write(chunk, done);
  }

  override _writev(
    chunks: readonly { chunk: Buffer | string; encoding: BufferEncoding }[],
    done: (error?: Error | null) => void,
  ): void {
    if (this.#isSilent) {
      done();
      return;
    }
    this.#socket.cork();
    for (const [index, { chunk, encoding }] of chunks.entries()) {
      this.#socket.write(chunk, encoding, index === chunks.length - 1 ? done : undefined);
    }
    this.#socket.uncork();
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#socket.end(() => done());
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    if (this.#position.kind === 'detached') this.#position.body.fail();
    this.#socket.destroy();
    done(error);
  }

  #take(chunk: Buffer): void {
    for (let rest = chunk; rest.byteLength > 0;) {
      if (this.#mustHold()) {
        this.#held = Buffer.concat([this.#held, rest]);
        this.#stopReading();
        return;
      }
      rest = rest.subarray(this.#takeSome(rest));
    }
  }

  /** Takes the beginning of what has come; answers how much of it. */
  #takeSome(chunk: Buffer): number {
    switch (this.#position.kind) {
      case 'head':
        return this.#takeHead(chunk);
      case 'body': {
        const { leftBytes } = this.#position;
        const length = Math.min(leftBytes, chunk.byteLength);
        this.#position =
          length === leftBytes ? { kind: 'head' } : { kind: 'body', leftBytes: leftBytes - length };
        this.#pass(chunk.subarray(0, length));
        return length;
      }
      case 'detached':
        return this.#position.body.receive(chunk);
      case 'unclear':
        this.#pass(chunk);
        return chunk.byteLength;
    }
  }

  /** A head that does not come in one piece is left to Node's parser, with all that follows. */
  #takeHead(chunk: Buffer): number {
    const end = chunk.indexOf(HEAD_END);
    const headBytes = end === -1 ? 0 : end + HEAD_END.length;
    const frame =
      headBytes === 0 ? ({ kind: 'unclear' } as const) : frameOf(chunk.toString('latin1', 0, headBytes));
    switch (frame.kind) {
      case 'unclear':
        this.#position = { kind: 'unclear' };
        return 0;
      case 'plain':
        if (frame.bodyBytes > 0) this.#position = { kind: 'body', leftBytes: frame.bodyBytes };
        this.#pass(chunk.subarray(0, headBytes));
        return headBytes;
      case 'write':
        this.#position = { kind: 'detached', body: this.#detach(frame.bodyBytes) };
        this.#pass(Buffer.from(frame.headWithoutBody, 'latin1'));
        return headBytes;
    }
  }

  #detach(lengthBytes: number): DetachedBody {
    this.#stopReading();
    return new DetachedBody(lengthBytes, {
      descriptor: () => this.#freshDescriptor,
      read: () => this.#readOn(),
      stop: () => this.#stopReading(),
      onComplete: () => {
        this.#position = { kind: 'head' };
        this.#releaseSoon();
      },
    });
  }

  /** Not at once: this may be called from within Node's parser, which is not through with a head. */
  #releaseSoon(): void {
    if (this.#isReleasing) return;
    this.#isReleasing = true;
    process.nextTick(() => this.#release());
  }

  /** Goes on with what was held. */
  #release(): void {
    this.#isReleasing = false;
    const held = this.#held;
    this.#held = NO_BYTES;
    this.#take(held);
    if (this.#hasEnded) this.#takeEnd();
    else if (this.#mayRead()) this.#readOn();
  }

  #mayRead(): boolean {
    if (this.#mustHold()) return false;
    return this.#position.kind !== 'detached' || this.#position.body.isRead;
  }

  #mustHold(): boolean {
    if (this.#isReleasing) return true;
    switch (this.#position.kind) {
      case 'head':
        if (this.#isAnswering) return true;
        // Whose body has stayed behind is asked while its head passes, so no other head may be waiting before it.
        return this.readableFlowing !== true || this.readableLength > 0;
      case 'detached':
        return !this.#position.body.isTaken;
      case 'body':
      case 'unclear':
        return false;
    }
  }

  /** Not one byte more is taken from the system until `resume`. */
  #stopReading(): void {
    this.#socket.pause();
    const handle = handleOf(this.#socket);
    if (handle === null) return;
    handle.readStop();
    handle.reading = false;
  }

  #pass(bytes: Buffer): void {
    if (!this.push(bytes)) this.#socket.pause();
  }

  #takeEnd(): void {
    this.#hasEnded = true;
    if (this.#held.byteLength > 0 || this.#isReleasing) return;
    if (this.#position.kind === 'detached') this.#position.body.fail();
    this.push(null);
  }
}

function handleOf(socket: Socket): Handle | null {
  return (socket as unknown as { readonly _handle: Handle | null })._handle;
}
