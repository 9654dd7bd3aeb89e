import type { Socket } from 'node:net';
import type { SecureContext } from 'node:tls';
import type { Clock } from '../runtime/clock.ts';
import type { ExportOffer } from './export-offer.ts';
import type { EndReason } from './handshake-connection.ts';
import { ConnectionEnded, HandshakeConnection } from './handshake-connection.ts';
import type { HandshakeLimits } from './limits.ts';
import { type Agreement, type CloseReason, Negotiation, type Step } from './negotiation.ts';

/** Whether a listener has TLS, and its certificate as it is at the moment. */
export type ListenerTls =
  | { readonly mode: 'off' }
  | { readonly mode: 'offered' | 'required'; readonly secureContext: () => SecureContext };

export interface HandshakeOptions {
  /** Who connects: an IP address, or any name for those of a Unix socket. */
  readonly address: string;
  readonly tls: ListenerTls;
  readonly limits: HandshakeLimits;
  readonly clock: Clock;
  /** Aborted when the server stops. */
  readonly stopping: AbortSignal;
  /** The export of this name; null when there is none, for whatever reason. */
  readonly resolve: (exportName: string, address: string) => Promise<ExportOffer | null>;
  /** Counts a wrong name and resolves when it may be answered. */
  readonly penalty: (address: string) => Promise<void>;
}

/** What the transmission begins with. */
export interface Negotiated extends Agreement {
  /**
   * Paused; a TLSSocket when `isTls`. Of a plain socket not one byte is taken from the kernel any more. One listener is
   * left on it, which ignores errors.
   */
  readonly socket: Socket;
}

export type HandshakeResult =
  | { readonly negotiated: Negotiated }
  /** The socket is closed; the reason is for the log. */
  | { readonly negotiated: null; readonly reason: CloseReason | EndReason };

/**
 * Shakes hands with a client that has just connected. Ends within the limits, whatever the client does. Rejects, the
 * socket closed, with what `resolve`, `penalty` or `secureContext` throws and nothing else.
 */
export async function shakeHands(socket: Socket, options: HandshakeOptions): Promise<HandshakeResult> {
  const { clock, limits, stopping } = options;
  const negotiation = new Negotiation({ tls: options.tls.mode, limits });
  const connection = new HandshakeConnection(socket);
  const over = new AbortController();
  void clock.sleep(limits.handshakeMs, over.signal).then(() => connection.giveUp('too-slow'));
  const stop = (): void => {
    negotiation.stop();
    void clock.sleep(limits.stoppingMs, over.signal).then(() => connection.giveUp('stopping'));
  };
  stopping.addEventListener('abort', stop, { once: true });
  if (stopping.aborted) stop();
  try {
    return await converse(connection, negotiation, options);
  } catch (error) {
    connection.destroy();
    if (error instanceof ConnectionEnded) return { negotiated: null, reason: error.reason };
    throw error;
  } finally {
    stopping.removeEventListener('abort', stop);
    over.abort();
  }
}

async function converse(
  connection: HandshakeConnection,
  negotiation: Negotiation,
  options: HandshakeOptions,
): Promise<HandshakeResult> {
  for (let step = negotiation.start(); ;) {
    const { effect, output } = step;
    switch (effect.kind) {
      case 'read':
        await connection.write(output);
        step = negotiation.receive(await connection.read());
        break;
      case 'resolve':
        await connection.write(output);
        step = negotiation.answerExport(await connection.unlessEnded(findExport(effect.exportName, options)));
        break;
      case 'start-tls': {
        const next = await startTls(connection, step, { negotiation, tls: options.tls });
        if (next === null) return { negotiated: null, reason: 'bytes-before-tls' };
        step = next;
        break;
      }
      case 'transmit':
        return { negotiated: await handOver(connection, { agreement: effect.agreement, output }) };
      case 'close':
        await close(connection, { reason: effect.reason, output, options });
        return { negotiated: null, reason: effect.reason };
    }
  }
}

async function findExport(exportName: string, options: HandshakeOptions): Promise<ExportOffer | null> {
  const offer = await options.resolve(exportName, options.address);
  if (offer === null) await options.penalty(options.address);
  return offer;
}

/** Null, the connection closed, when the client has sent more than it might before TLS. */
async function startTls(
  connection: HandshakeConnection,
  { output }: Step,
  { negotiation, tls }: { negotiation: Negotiation; tls: ListenerTls },
): Promise<Step | null> {
  if (tls.mode === 'off') throw new Error('TLS was agreed upon where there is none.');
  const early = connection.stopReading();
  if (early.length > 0) {
    connection.destroy();
    return null;
  }
  await connection.write(output);
  await connection.startTls(tls.secureContext());
  return negotiation.tlsStarted();
}

/** Reading is stopped before the client can know that it may send requests. */
async function handOver(
  connection: HandshakeConnection,
  { agreement, output }: { agreement: Agreement; output: Buffer },
): Promise<Negotiated> {
  const taken = connection.stopReading();
  await connection.write(output);
  const leftover = Buffer.concat([agreement.leftover, taken]);
  return { ...agreement, leftover, socket: connection.release() };
}

/** A client that leaves in good order is waited for; every other is cut. */
async function close(
  connection: HandshakeConnection,
  { reason, output, options }: { reason: CloseReason; output: Buffer; options: HandshakeOptions },
): Promise<void> {
  await connection.write(output);
  if (reason !== 'aborted') {
    connection.destroy();
    return;
  }
  const closed = new AbortController();
  await connection.close(options.clock.sleep(options.limits.closingMs, closed.signal));
  closed.abort();
}
