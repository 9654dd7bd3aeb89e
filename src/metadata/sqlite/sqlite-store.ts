import { Kysely, sql } from 'kysely';
import { listMigrations, migrate } from '../migrations/migrations.ts';
import type { MetadataStore } from '../metadata-store.ts';
import { addCounters } from '../queries/drive-counters.ts';
import { createReaders, createTransaction, prepareStoreQueries } from '../queries/store-queries.ts';
import type { Schema } from '../schema.ts';
import { createTransactionQueue } from '../transaction-queue.ts';
import { SQLITE_COLUMN_TYPES } from './sqlite-column-types.ts';
import { createSqliteDialect } from './sqlite-dialect.ts';
import type { StatementRunner } from './sqlite-dialect.ts';
import { openSqliteThread } from './sqlite-thread-client.ts';
import type { SqliteThread } from './sqlite-thread-client.ts';
import { createSqliteWriter } from './sqlite-writer.ts';
import { LookUps, rememberingReaders } from './look-ups.ts';

/**
 * Opens the metadata in one SQLite file, makes it when there is none, and brings it up to date.
 *
 * @throws DriveError system when it cannot be opened or was written by a newer Drivebay, full when the disk is
 */
export async function openSqliteStore({ path }: { path: string }): Promise<MetadataStore> {
  const writer = await openSqliteThread({ path, role: 'writer' });
  try {
    return createSqliteStore(writer, await openReader(writer, path));
  } catch (error) {
    await writer.close();
    throw error;
  }
}

async function openReader(writer: SqliteThread, path: string): Promise<SqliteThread> {
  await createTransactionQueue(createSqliteWriter(writer)).transaction(async ({ run }) => {
    await migrate(openKysely(run), listMigrations(SQLITE_COLUMN_TYPES));
  });
  return await openSqliteThread({ path, role: 'reader' });
}

/** The machine's own: there is no other node. */
const CLOCK = sql<number>`cast(unixepoch('subsec') * 1000 as integer)`;

function openKysely(run: StatementRunner): Kysely<Schema> {
  return new Kysely<Schema>({ dialect: createSqliteDialect(run) });
}

/** The store over two connections: one that writes, and one that sees only what the other has committed. */
export function createSqliteStore(writer: SqliteThread, reader: SqliteThread): MetadataStore {
  const readerDb = openKysely((statement) => reader.run(statement));
  const queries = prepareStoreQueries(readerDb, CLOCK);
  const lookUps = new LookUps();
  const queue = createTransactionQueue(createSqliteWriter(writer), () => lookUps.forget());
  return {
    ...rememberingReaders(createReaders(readerDb, queries), lookUps),
    async transaction(work) {
      return await queue.transaction(({ run, eraseDeleted }) =>
        work(createTransaction(openKysely(run), queries, eraseDeleted)),
      );
    },
    async addCounters(deltas) {
      if (deltas.size === 0) return;
      await queue.transaction(({ run }) => addCounters(openKysely(run), queries.counters, deltas));
    },
    async ping() {
      const statement = { sql: 'select count(*) from settings' };
      await Promise.all([reader.run(statement), writer.run(statement)]);
    },
    async close() {
      await queue.drain();
      await reader.close();
      await writer.close();
    },
  };
}
