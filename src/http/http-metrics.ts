import { collectDefaultMetrics, Counter, Gauge, Histogram } from 'prom-client';
import type { Registry } from 'prom-client';
import type { Exchange } from './exchange.ts';

/** What the listener counts. Labels are routes and status classes only: a UUID in one would never be forgotten. */
export interface HttpMetrics {
  begin(): void;
  end(exchange: Exchange, facts: { status: number | null; seconds: number }): void;
  authFailed(): void;
  connectionRefused(): void;
}

export function createHttpMetrics(registry: Registry, connections: () => Promise<number>): HttpMetrics {
  const registers = [registry];
  collectDefaultMetrics({ register: registry });
  const seconds = new Histogram({
    name: 'drivebay_http_request_seconds',
    help: 'Time from the headers of a request to the end of its answer.',
    labelNames: ['route', 'status'],
    buckets: [0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30],
    registers,
  });
  const received = counter('drivebay_http_received_bytes_total', 'Bytes of request bodies.', registers);
  const sent = counter('drivebay_http_sent_bytes_total', 'Bytes of answer bodies.', registers);
  const authFailures = counter(
    'drivebay_http_auth_failures_total',
    'Requests without good credentials.',
    registers,
  );
  const refused = counter(
    'drivebay_http_refused_connections_total',
    'Connections over the limit.',
    registers,
  );
  const inFlight = new Gauge({
    name: 'drivebay_http_requests_in_flight',
    help: 'Requests whose answer has not ended.',
    registers,
  });
  const open: Gauge = new Gauge({
    name: 'drivebay_http_connections',
    help: 'Connections that are open.',
    registers,
    collect: async () => open.set(await connections()),
  });
  return {
    begin: () => inFlight.inc(),
    end: (exchange, facts) => {
      inFlight.dec();
      const status = facts.status === null ? 'aborted' : `${Math.floor(facts.status / 100)}xx`;
      seconds.observe({ route: exchange.template ?? 'none', status }, facts.seconds);
      received.inc(exchange.body.receivedBytes);
      sent.inc(exchange.sentBytes);
    },
    authFailed: () => authFailures.inc(),
    connectionRefused: () => refused.inc(),
  };
}

function counter(name: string, help: string, registers: Registry[]): Counter {
  return new Counter({ name, help, registers });
}
