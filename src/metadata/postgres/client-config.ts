import { checkServerIdentity } from 'node:tls';
import { types } from 'pg';
import type { PoolConfig } from 'pg';
import type { PostgresOptions, PostgresTls } from './postgres-options.ts';

/** A connection that nobody has used for this long is closed. */
const IDLE_MS = 60_000;
const INT8_OID = 20;

/** What PostgreSQL is given for a statement: it gives up first, so that the connection outlives a slow statement. */
export function serverTimeoutMs(timeoutMs: number): number {
  return Math.floor(timeoutMs * 0.8);
}

/** What a pool makes its connections with. */
export function clientConfig({ timeoutMs, tls, ...options }: PostgresOptions): PoolConfig {
  const keepAliveSeconds = Math.max(1, Math.ceil(timeoutMs / 1000));
  return {
    host: options.host,
    port: options.port,
    database: options.database,
    user: options.user,
    ...(options.password === null ? {} : { password: options.password }),
    ssl: tls === null ? false : tlsConfig(tls, options.host),
    application_name: 'drivebay',
    connectionTimeoutMillis: timeoutMs,
    idleTimeoutMillis: IDLE_MS,
    statement_timeout: serverTimeoutMs(timeoutMs),
    // A node that stops in the middle of a transaction must not keep the others from theirs.
    idle_in_transaction_session_timeout: 2 * timeoutMs,
    keepAlive: true,
    keepAliveInitialDelayMillis: timeoutMs,
    types: { getTypeParser: typeParser as typeof types.getTypeParser },
    // What is acknowledged is on disk, whatever the database's own default; sessions of a lost node end.
    options:
      '-c synchronous_commit=on -c default_transaction_read_only=off -c client_encoding=UTF8 ' +
      `-c tcp_keepalives_idle=${keepAliveSeconds} -c tcp_keepalives_interval=${keepAliveSeconds} -c tcp_keepalives_count=3`,
  };
}

function tlsConfig({ verify, ca }: PostgresTls, host: string): NonNullable<PoolConfig['ssl']> {
  return {
    rejectUnauthorized: verify !== 'nothing',
    ...(ca === null ? {} : { ca }),
    checkServerIdentity: (_name, certificate) =>
      verify === 'host' ? checkServerIdentity(host, certificate) : undefined,
  };
}

/** Every 64-bit number that is read as it is has to fit; those that may not are read as floating point. */
function typeParser(oid: number, format?: 'text' | 'binary'): (text: string) => unknown {
  return oid === INT8_OID ? parseInteger : types.getTypeParser(oid, format as 'text');
}

function parseInteger(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value)) throw new RangeError(`${text} does not fit into a number.`);
  return value;
}
