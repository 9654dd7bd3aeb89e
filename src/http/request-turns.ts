import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';

/**
 * Lets each connection's requests begin one after the other: where they are not all safe, one must be done before the
 * next is begun (RFC 9112, 9.3.2), or of two writes to one place the first could win.
 *
 * Node parses what has come in one go, so some requests may have to wait here; no more is read of their connection
 * meanwhile, which bounds how many.
 */
export class RequestTurns {
  readonly #lastAnswers = new WeakMap<Duplex, ServerResponse>();

  /** Calls `begin` once the answers before this one are through; never when the connection ended with one of them. */
  take({ socket }: IncomingMessage, res: ServerResponse, begin: () => void): void {
    const before = this.#lastAnswers.get(socket);
    this.#lastAnswers.set(socket, res);
    if (before === undefined || before.closed) {
      begin();
      return;
    }
    // The body before it is complete, or the next request could not have been parsed.
    socket.pause();
    before.once('close', () => {
      socket.resume();
      if (socket.writable) begin();
    });
  }
}
