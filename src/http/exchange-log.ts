import type { Duplex } from 'node:stream';
import type { Logger } from 'pino';
import { quoted } from './error-table.ts';
import type { Exchange } from './exchange.ts';
import type { HttpMetrics } from './http-metrics.ts';
import type { HttpClock } from './request-body.ts';

/** Knows every exchange under way, and writes one line about each when it ends. */
export class ExchangeLog {
  readonly #active = new Map<Duplex, Set<Exchange>>();
  readonly #logger: Logger;
  readonly #metrics: HttpMetrics;
  readonly #clock: HttpClock;
  #isClosing = false;

  constructor({ logger, metrics, clock }: { logger: Logger; metrics: HttpMetrics; clock: HttpClock }) {
    this.#logger = logger;
    this.#metrics = metrics;
    this.#clock = clock;
  }

  get isClosing(): boolean {
    return this.#isClosing;
  }

  begin(exchange: Exchange): void {
    const { req, res } = exchange;
    const { socket } = req;
    const ofSocket = this.#active.get(socket) ?? new Set();
    this.#active.set(socket, ofSocket.add(exchange));
    if (this.#isClosing) exchange.mustClose = true;
    this.#metrics.begin();
    let isOver = false;
    const end = (): void => {
      if (isOver) return;
      isOver = true;
      this.#end(exchange, socket);
    };
    res.once('finish', end);
    res.once('close', end);
    // A write after the client has gone; the end of the exchange is told by `close`.
    res.on('error', () => undefined);
  }

  /** The exchanges under way on a connection, oldest first. */
  activeOn(socket: Duplex): readonly Exchange[] {
    return [...(this.#active.get(socket) ?? [])];
  }

  /** From now on every connection ends with the answer that it is at. */
  startClosing(): void {
    this.#isClosing = true;
    for (const exchanges of this.#active.values()) {
      for (const exchange of exchanges) exchange.mustClose = true;
    }
  }

  #end(exchange: Exchange, socket: Duplex): void {
    const ofSocket = this.#active.get(socket);
    ofSocket?.delete(exchange);
    if (ofSocket?.size === 0) {
      this.#active.delete(socket);
      // An answer whose headers were sent before closing began has promised to keep the connection.
      if (exchange.mustClose) socket.end();
    }
    this.#write(exchange);
  }

  #write(exchange: Exchange): void {
    const { res, user } = exchange;
    const ms = this.#clock.nowMs() - exchange.startedAtMs;
    const status = res.writableFinished ? res.statusCode : null;
    this.#metrics.end(exchange, { status, seconds: ms / 1000 });
    this.#logger.info(
      {
        requestId: exchange.requestId,
        method: exchange.method,
        route: exchange.template,
        path: quoted(exchange.path),
        status: res.headersSent ? res.statusCode : null,
        isAborted: status === null,
        ms: Math.round(ms * 1000) / 1000,
        receivedBytes: exchange.body.receivedBytes,
        sentBytes: exchange.sentBytes,
        user: user?.userId ?? null,
      },
      'request',
    );
  }
}
