import { SqliteAdapter, SqliteIntrospector, SqliteQueryCompiler } from 'kysely';
import type { CompiledQuery, DatabaseConnection, Dialect, Driver, QueryResult } from 'kysely';
import type { SqlValue } from './protocol.ts';
import type { ResultSet, Statement } from './sqlite-thread-client.ts';

/** Runs a statement where the dialect's owner wants it to run. */
export type StatementRunner = (statement: Statement) => Promise<ResultSet>;

/**
 * Kysely over a connection that somebody else holds: transactions begin and end outside of it, because many of them
 * share one commit.
 */
export function createSqliteDialect(run: StatementRunner): Dialect {
  return {
    createAdapter: () => new ThreadAdapter(),
    createDriver: () => createDriver(createConnection(run)),
    createIntrospector: (db) => new SqliteIntrospector(db),
    createQueryCompiler: () => new SqliteQueryCompiler(),
  };
}

/**
 * Says that statements need not wait for each other: the thread does them in the order in which they were asked for. Kysely would
 * hold each back until the one before is answered, also those of other requests.
 */
class ThreadAdapter extends SqliteAdapter {
  override get supportsMultipleConnections(): boolean {
    return true;
  }
}

function createDriver(connection: DatabaseConnection): Driver {
  const nothing = (): Promise<void> => Promise.resolve();
  return {
    init: nothing,
    acquireConnection: () => Promise.resolve(connection),
    beginTransaction: refuse,
    commitTransaction: refuse,
    rollbackTransaction: refuse,
    releaseConnection: nothing,
    destroy: nothing,
  };
}

function refuse(): Promise<never> {
  return Promise.reject(new Error('Transactions go through MetadataStore.transaction.'));
}

function createConnection(run: StatementRunner): DatabaseConnection {
  return {
    async executeQuery<Row>({ sql, parameters }: CompiledQuery): Promise<QueryResult<Row>> {
      const result = await run({ sql, parameters: parameters as readonly SqlValue[] });
      return { rows: toObjects(result) as Row[], numAffectedRows: BigInt(result.changes) };
    },
    // oxlint-disable-next-line eslint/require-yield
    async *streamQuery() {
      await refuse();
    },
  };
}

function toObjects({ columns, rows }: ResultSet): Record<string, SqlValue>[] {
  return rows.map((row) => {
    const object: Record<string, SqlValue> = {};
    for (let index = 0; index < columns.length; index += 1) object[columns[index] ?? ''] = row[index] ?? null;
    return object;
  });
}
