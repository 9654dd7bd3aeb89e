import { Kysely, PostgresDialect } from 'kysely';
import type { PostgresPool, PostgresPoolClient } from 'kysely';
import type { QueryResult } from 'pg';
import type { Runner } from '../transaction-queue.ts';
import type { Schema } from '../schema.ts';
import type { Statement } from './postgres-connections.ts';

/** Kysely over whatever runs the statements: transactions begin and end outside of it. */
export function openKysely(run: Runner<Statement, QueryResult>): Kysely<Schema> {
  const client = {
    query: (sql: string, parameters: readonly unknown[] = []) => run({ sql, parameters }),
    release: () => undefined,
  };
  const pool = {
    // Kysely types what it calls for cursors as well, which are not used here.
    connect: () => Promise.resolve(client as unknown as PostgresPoolClient),
    end: () => Promise.resolve(),
  };
  return new Kysely<Schema>({ dialect: new PostgresDialect({ pool: pool as unknown as PostgresPool }) });
}
