import { Pool } from 'pg';
import type { PoolClient, PoolConfig, QueryResult } from 'pg';
import { clientConfig } from './client-config.ts';
import { isConnectionLost, toStoreError } from './postgres-error.ts';
import { databaseName } from './postgres-options.ts';
import type { PostgresOptions } from './postgres-options.ts';

export interface Statement {
  readonly sql: string;
  readonly parameters?: readonly unknown[];
}

/** A connection that is lent to one user until it is given back. */
export interface Session {
  run(statement: Statement, timeoutMs?: number): Promise<QueryResult>;
  /** Gives it back, or ends it when what it is in the midst of must not go on. */
  release(fate: 'keep' | 'end'): void;
}

/**
 * Connections to the database: some that read, and one that writes. They are made as they are needed and replaced when
 * they are lost, so that the database may go away and come back at any time. Errors are those of the store.
 */
export interface PostgresConnections {
  /** One statement outside of transactions, which changes nothing: it is repeated when its connection was lost. */
  read(statement: Statement): Promise<QueryResult>;
  lendReader(): Promise<Session>;
  lendWriter(): Promise<Session>;
  /** Waits for what is under way. */
  close(): Promise<void>;
}

const MAX_READS = 3;

export function openConnections(options: PostgresOptions): PostgresConnections {
  const database = databaseName(options);
  const watch = watchState(options);
  const config = clientConfig(options);
  const readers = openPool({ ...config, max: options.maxConnections - 1 });
  // What a transaction asks for at once travels at once.
  const writers = openPool({ ...config, max: 1, pipeline: true } as PoolConfig);
  let closing: Promise<unknown> | null = null;

  async function lend(pool: Pool): Promise<Session> {
    let client: PoolClient;
    try {
      client = await pool.connect();
    } catch (error) {
      const seen = toStoreError(error, database);
      if (closing === null) watch.failed(seen);
      throw seen;
    }
    return createSession(client, { database, watch, timeoutMs: options.timeoutMs });
  }

  async function readOnce(statement: Statement): Promise<QueryResult> {
    const session = await lend(readers);
    try {
      return await session.run(statement);
    } finally {
      session.release('keep');
    }
  }

  return {
    async read(statement) {
      const startedAtMs = performance.now();
      for (let attempt = 1; ; attempt += 1) {
        try {
          return await readOnce(statement);
        } catch (error) {
          const isLate = performance.now() - startedAtMs > options.timeoutMs / 2;
          if (!isConnectionLost(error) || isLate || attempt >= MAX_READS) throw error;
        }
      }
    },
    lendReader: () => lend(readers),
    lendWriter: () => lend(writers),
    async close() {
      closing ??= Promise.all([readers.end(), writers.end()]);
      await closing;
    },
  };
}

interface SessionParts {
  readonly database: string;
  readonly watch: StateWatch;
  readonly timeoutMs: number;
}

function createSession(client: PoolClient, { database, watch, timeoutMs }: SessionParts): Session {
  let isLost = false;
  return {
    async run({ sql, parameters = [] }, withinMs = timeoutMs) {
      try {
        // A query has a timeout of its own, of which its type does not know.
        const query = { text: sql, values: [...parameters], query_timeout: withinMs };
        const result = await client.query(query);
        watch.worked();
        return result;
      } catch (error) {
        const seen = toStoreError(error, database);
        if (isConnectionLost(error)) {
          isLost = true;
          watch.failed(seen);
        }
        throw seen;
      }
    },
    release(fate) {
      client.release(isLost || fate === 'end');
    },
  };
}

function openPool(config: PoolConfig): Pool {
  const pool = new Pool(config);
  // A connection that is lost is noticed by whoever uses it next; the pool has let go of it by then.
  pool.on('error', () => undefined);
  pool.on('connect', (client) => client.on('error', () => undefined));
  return pool;
}

interface StateWatch {
  failed(error: unknown): void;
  worked(): void;
}

/** Says once that the database is away, and once that it is back. */
function watchState({ onChange = () => undefined }: PostgresOptions): StateWatch {
  let awaySinceMs: number | null = null;
  return {
    failed(error) {
      if (awaySinceMs !== null) return;
      awaySinceMs = performance.now();
      onChange({ isAway: true, error });
    },
    worked() {
      if (awaySinceMs === null) return;
      const awayMs = performance.now() - awaySinceMs;
      awaySinceMs = null;
      onChange({ isAway: false, awayMs });
    },
  };
}
