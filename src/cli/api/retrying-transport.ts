import { ConnectionError } from './transport.ts';
import type { Transport, TransportRequest, TransportResponse } from './transport.ts';

/** A request is sent this often at most; with the delays below that bridges a restart of about half a minute. */
const MAX_ATTEMPTS = 9;
const FIRST_DELAY_MS = 100;
const MAX_DELAY_MS = 10_000;
const MAX_RETRY_AFTER_MS = 60_000;

export interface RetryEnvironment {
  random(): number;
  sleep(delayMs: number, signal?: AbortSignal): Promise<void>;
}

/**
 * Sends again what failed for a passing reason: 503 (after the time that the server names), and broken connections, also
 * those of a load balancer to the node behind it, where doing it twice is the same as once. A server that refuses the
 * very first connection is not there: that fails at once.
 */
export function retrying(inner: Transport, environment: RetryEnvironment): Transport {
  const closing = new AbortController();
  let hasAnswered = false;

  async function attempt(request: TransportRequest, exchange: () => Promise<TransportResponse>) {
    for (let attempts = 1; ; attempts++) {
      const backoffMs = backoff(attempts, environment.random());
      try {
        const answer = await exchange();
        hasAnswered = true;
        if (!isPassingStatus(answer.status, request) || attempts === MAX_ATTEMPTS) return answer;
        await environment.sleep(retryAfterMs(answer) ?? backoffMs, closing.signal);
      } catch (error) {
        if (attempts === MAX_ATTEMPTS || closing.signal.aborted || !isPassing(error, request)) throw error;
        await environment.sleep(backoffMs, closing.signal);
      }
      if (closing.signal.aborted) throw new ConnectionError('ECANCELED', 'the transfer was stopped');
    }
  }

  function isPassing(error: unknown, request: TransportRequest): boolean {
    if (!(error instanceof ConnectionError)) return false;
    if (error.code === 'ECONNREFUSED') return hasAnswered;
    return request.isRepeatable && PASSING_CODES.has(error.code);
  }

  return {
    send: (request) => attempt(request, () => inner.send(request)),
    receive: (request, target) => attempt(request, () => inner.receive(request, target)),
    close() {
      closing.abort();
      inner.close();
    },
  };
}

function isPassingStatus(status: number, { isRepeatable }: TransportRequest): boolean {
  return status === 503 || (isRepeatable && GATEWAY_STATUSES.has(status));
}

/** What a load balancer answers for a node that has gone away in the middle. */
const GATEWAY_STATUSES: ReadonlySet<number> = new Set([502, 504]);

const PASSING_CODES: ReadonlySet<string> = new Set([
  'ECONNRESET',
  'EPIPE',
  'ETIMEDOUT',
  'ECONNABORTED',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'EAI_AGAIN',
]);

function backoff(attempts: number, random: number): number {
  return Math.min(MAX_DELAY_MS, FIRST_DELAY_MS * 2 ** (attempts - 1)) * (0.5 + random / 2);
}

/** Retry-After in its form of whole seconds; null when the server names none. */
function retryAfterMs(answer: TransportResponse): number | null {
  const seconds = answer.headers['retry-after'];
  if (seconds === undefined || !/^[0-9]{1,6}$/.test(seconds)) return null;
  return Math.min(MAX_RETRY_AFTER_MS, Number(seconds) * 1000);
}
