import { sql } from 'kysely';
import type { QueryResult } from 'pg';
import { DriveError } from '../../core/errors.ts';
import type { MetadataStore } from '../metadata-store.ts';
import { listMigrations, migrate } from '../migrations/migrations.ts';
import { addCounters } from '../queries/drive-counters.ts';
import { createReaders, createTransaction, prepareStoreQueries } from '../queries/store-queries.ts';
import { createTransactionQueue } from '../transaction-queue.ts';
import type { Runner } from '../transaction-queue.ts';
import { DoubtfulCounters } from './doubtful-counters.ts';
import { createKeyVacuum } from './key-vacuum.ts';
import { POSTGRES_COLUMN_TYPES } from './postgres-column-types.ts';
import { openConnections } from './postgres-connections.ts';
import type { PostgresConnections, Statement } from './postgres-connections.ts';
import { openKysely } from './postgres-dialect.ts';
import { isInDoubt } from './postgres-error.ts';
import type { PostgresOptions } from './postgres-options.ts';
import { PostgresWriter } from './postgres-writer.ts';

/** PostgreSQL 14. */
const MIN_VERSION = 140_000;
/** How long another node's migration may take. */
export const MIGRATION_MS = 600_000;
/** Goes on during a transaction, which may have waited for others. */
const CLOCK = sql<number>`(extract(epoch from clock_timestamp()) * 1000)::bigint`;

/**
 * Opens the metadata in a PostgreSQL database and brings it up to date. Several stores, in any number of processes, may
 * use one database.
 *
 * Nothing that was read is remembered, other than with SQLite: another node may have changed it since, and a look-up
 * that is late by a moment would let a server write to a drive that it has lost.
 *
 * @throws DriveError system when it cannot be reached or was written by a newer Drivebay
 */
export async function openPostgresStore(options: PostgresOptions): Promise<MetadataStore> {
  const connections = openConnections(options);
  try {
    await checkDatabase(connections);
    await migrateDatabase(connections);
  } catch (error) {
    await connections.close();
    throw error;
  }
  return createPostgresStore(connections, options);
}

/** @throws DriveError system when the database is of a kind that Drivebay cannot use */
export async function checkDatabase(connections: PostgresConnections): Promise<void> {
  const sql = `select current_setting('server_version_num')::int as version, current_setting('server_version') as name,
    current_setting('server_encoding') as encoding`;
  const { rows } = await connections.read({ sql });
  const { version, name, encoding } = rows[0] as { version: number; name: string; encoding: string };
  if (version < MIN_VERSION) {
    throw new DriveError(
      'system',
      `The metadata database is PostgreSQL ${name}: Drivebay needs 14 or later.`,
    );
  }
  if (encoding !== 'UTF8') {
    const sentence = `The metadata database has the encoding ${encoding}: make one with UTF8.`;
    throw new DriveError('system', sentence);
  }
}

/** Of nodes that start at once the first migrates, and the others wait for it and find that it is done. */
async function migrateDatabase(connections: PostgresConnections): Promise<void> {
  const writer = new PostgresWriter(connections, {
    timeoutMs: MIGRATION_MS,
    vacuum: () => undefined,
  });
  await createTransactionQueue(writer).transaction(async ({ run }) => {
    await migrate(openKysely(run), listMigrations(POSTGRES_COLUMN_TYPES));
  });
}

/** The store over connections to a database that is up to date. */
export function createPostgresStore(
  connections: PostgresConnections,
  { timeoutMs }: Pick<PostgresOptions, 'timeoutMs'>,
): MetadataStore {
  const readerDb = openKysely((statement) => connections.read(statement));
  const queries = prepareStoreQueries(readerDb, CLOCK);
  const vacuum = createKeyVacuum(connections);
  const writer = new PostgresWriter(connections, { timeoutMs, vacuum: () => vacuum.begin() });
  const queue = createTransactionQueue(writer);
  const doubtful = new DoubtfulCounters();
  return {
    ...createReaders(readerDb, queries),
    async transaction(work) {
      return await queue.transaction(({ run, eraseDeleted }) =>
        work(createTransaction(openKysely(run), queries, eraseDeleted)),
      );
    },
    async addCounters(deltas) {
      if (deltas.size === 0) return;
      const attempt = { transactionId: '', deltas };
      try {
        await queue.transaction(async ({ run }) => {
          attempt.transactionId = await currentTransaction(run);
          attempt.deltas = await doubtful.withoutAdded(deltas, (id) => wasCommitted(run, id));
          await addCounters(openKysely(run), queries.counters, attempt.deltas);
        });
        doubtful.committed();
      } catch (error) {
        if (isInDoubt(error)) doubtful.lostSightOf(attempt.transactionId, attempt.deltas);
        throw error;
      }
    },
    async ping() {
      const { rows } = await connections.read({
        sql: 'select pg_is_in_recovery() as is_standby, count(*) from settings',
      });
      if (rows[0]?.is_standby === true) {
        throw new DriveError('system', 'The metadata database is a standby, which cannot be written.');
      }
    },
    async close() {
      await queue.drain();
      await vacuum.ended();
      await connections.close();
    },
  };
}

async function currentTransaction(run: Runner<Statement, QueryResult>): Promise<string> {
  const { rows } = await run({ sql: 'select pg_current_xact_id()::text as id' });
  return String(rows[0]?.id);
}

/** The writers' lock is held here, so that a transaction of before has ended. */
async function wasCommitted(run: Runner<Statement, QueryResult>, transactionId: string): Promise<boolean> {
  const sql = 'select pg_xact_status($1::text::xid8) as status';
  const { rows } = await run({ sql, parameters: [transactionId] });
  return rows[0]?.status === 'committed';
}
