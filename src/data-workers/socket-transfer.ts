import { FAILED, READABLE, WOULD_BLOCK, WRITABLE } from '../runtime/socket-calls.ts';
import type { MemorySpan } from '../runtime/socket-calls.ts';
import type { SocketLoop, SocketTask } from './socket-loop.ts';

/** How long a data thread stays with one transfer. A client that is slower than that is served by the main thread. */
export const TRANSFER_TIMEOUT_MS = 2_000;

/**
 * Receives into the spans, one after the other, until they are full, the client stops or is too slow. `onFull` is called
 * for each span as soon as it is full, in order.
 *
 * @param descriptor of a socket that nobody else reads from meanwhile
 * @returns the bytes received
 */
export async function receiveInto(
  loop: SocketLoop,
  descriptor: number,
  { spans, onFull }: { spans: readonly MemorySpan[]; onFull?: (index: number) => void },
): Promise<number> {
  let done = 0;
  let index = 0;
  let inSpan = 0;
  const receiveSome = (): 'more' | 'wait' | 'over' => {
    const span = spans[index];
    if (span === undefined) return 'over';
    const rest = { address: span.address + inSpan, lengthBytes: span.lengthBytes - inSpan };
    const received = loop.calls.receive(descriptor, rest);
    if (received === WOULD_BLOCK) return 'wait';
    if (received === 0 || received === FAILED) return 'over';
    done += received;
    inSpan += received;
    if (inSpan === span.lengthBytes) {
      onFull?.(index);
      index += 1;
      inSpan = 0;
    }
    // Said at once: once all is there, the socket may never become ready again.
    return index === spans.length ? 'over' : 'more';
  };
  await transfer(loop, { descriptor, interest: READABLE, step: receiveSome });
  return done;
}

/** Where the bytes to send come from: spans in order, each valid until the next one is asked for; null at the end. */
export type SpanSource = () => MemorySpan | null;

/**
 * Sends what the source gives until it ends or throws, the client is gone or is too slow.
 *
 * @returns the bytes that the socket took, whether the connection is broken, and what the source has thrown
 */
export async function sendFrom(
  loop: SocketLoop,
  descriptor: number,
  source: SpanSource,
): Promise<SendOutcome> {
  const outcome: { -readonly [Key in keyof SendOutcome]: SendOutcome[Key] } = {
    sentBytes: 0,
    isBroken: false,
    error: null,
  };
  let rest: MemorySpan | null = null;
  const sendSome = (): 'more' | 'wait' | 'over' => {
    try {
      rest ??= source();
    } catch (error) {
      outcome.error = error;
    }
    if (rest === null) return 'over';
    const sent = loop.calls.send(descriptor, rest, false);
    if (sent === WOULD_BLOCK) return 'wait';
    if (sent === FAILED) {
      outcome.isBroken = true;
      return 'over';
    }
    outcome.sentBytes += sent;
    const left: number = rest.lengthBytes - sent;
    rest = left === 0 ? null : { address: rest.address + sent, lengthBytes: left };
    return 'more';
  };
  await transfer(loop, { descriptor, interest: WRITABLE, step: sendSome });
  return outcome;
}

export interface SendOutcome {
  readonly sentBytes: number;
  readonly isBroken: boolean;
  readonly error: unknown;
}

interface Transfer {
  readonly descriptor: number;
  readonly interest: number;
  /** Does what it can without waiting for the socket. */
  readonly step: () => 'more' | 'wait' | 'over';
}

/** Steps that one transfer may take before other sockets get their turn. */
const STEPS_IN_A_ROW = 8;

/** Works on a transfer whenever its socket is ready, until it is over or has taken too long. */
async function transfer(loop: SocketLoop, { descriptor, interest, step }: Transfer): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const end = (): void => {
    loop.remove(descriptor);
    loop.setDeadline(task, null);
    resolve();
  };
  const work = (): boolean => {
    for (let steps = 0; steps < STEPS_IN_A_ROW; steps += 1) {
      const outcome = step();
      if (outcome === 'over') return false;
      if (outcome === 'wait') break;
    }
    return true;
  };
  const task: SocketTask = {
    onReady() {
      if (!work()) end();
    },
    onDeadline: end,
  };
  if (!work()) return;
  loop.add(descriptor, interest, task);
  loop.setDeadline(task, performance.now() + TRANSFER_TIMEOUT_MS);
  await promise;
}
