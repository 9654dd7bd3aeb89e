import { Kysely } from 'kysely';
import { listMigrations, migrate } from '../migrations/migrations.ts';
import type { MetadataStore, MetadataTransaction } from '../metadata-store.ts';
import { createClaimReader, prepareClaimQueries } from '../queries/claim-reader.ts';
import { createClaimWriter } from '../queries/claim-writer.ts';
import { addCounters, prepareCounterQueries } from '../queries/drive-counters.ts';
import { createDriveReader, prepareDriveQueries } from '../queries/drive-reader.ts';
import { createDriveWriter, prepareDriveChangeQueries } from '../queries/drive-writer.ts';
import { createImagingReader, prepareImagingQueries } from '../queries/imaging-reader.ts';
import { createImagingWriter } from '../queries/imaging-writer.ts';
import { createSettingStore } from '../queries/settings.ts';
import { createUserReader, createUserWriter, prepareUserQueries } from '../queries/users.ts';
import type { Schema } from '../schema.ts';
import { SQLITE_COLUMN_TYPES } from './sqlite-column-types.ts';
import { createSqliteDialect } from './sqlite-dialect.ts';
import type { StatementRunner } from './sqlite-dialect.ts';
import { openSqliteThread } from './sqlite-thread-client.ts';
import type { SqliteThread } from './sqlite-thread-client.ts';
import { LookUps, rememberingReaders } from './look-ups.ts';
import type { Readers } from './look-ups.ts';
import { createTransactionQueue } from './transaction-queue.ts';

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
  await createTransactionQueue(writer).transaction(async ({ run }) => {
    await migrate(openKysely(run), listMigrations(SQLITE_COLUMN_TYPES));
  });
  return await openSqliteThread({ path, role: 'reader' });
}

function openKysely(run: StatementRunner): Kysely<Schema> {
  return new Kysely<Schema>({ dialect: createSqliteDialect(run) });
}

/** The store over two connections: one that writes, and one that sees only what the other has committed. */
export function createSqliteStore(writer: SqliteThread, reader: SqliteThread): MetadataStore {
  const readerDb = openKysely((statement) => reader.run(statement));
  const queries = {
    users: prepareUserQueries(readerDb),
    drives: prepareDriveQueries(readerDb),
    driveChanges: prepareDriveChangeQueries(readerDb),
    counters: prepareCounterQueries(readerDb),
    imaging: prepareImagingQueries(readerDb),
    claims: prepareClaimQueries(readerDb),
  };
  const lookUps = new LookUps();
  const queue = createTransactionQueue(writer, () => lookUps.forget());

  function createReaders(db: Kysely<Schema>): Readers {
    return {
      users: createUserReader(db, queries.users),
      drives: createDriveReader(db, queries.drives),
      imaging: createImagingReader(db, queries.imaging),
      claims: createClaimReader(db, queries.claims),
    };
  }

  function createTransaction(db: Kysely<Schema>, eraseDeleted: () => void): MetadataTransaction {
    const readers = createReaders(db);
    return {
      users: { ...readers.users, ...createUserWriter(db) },
      drives: { ...readers.drives, ...createDriveWriter(db, queries.driveChanges, eraseDeleted) },
      imaging: { ...readers.imaging, ...createImagingWriter(db) },
      claims: { ...readers.claims, ...createClaimWriter(db) },
      settings: createSettingStore(db),
    };
  }

  return {
    ...rememberingReaders(createReaders(readerDb), lookUps),
    async transaction(work) {
      return await queue.transaction(({ run, eraseDeleted }) =>
        work(createTransaction(openKysely(run), eraseDeleted)),
      );
    },
    async addCounters(deltas) {
      if (deltas.size === 0) return;
      await queue.transaction(({ run }) => addCounters(openKysely(run), queries.counters, deltas));
    },
    async ping() {
      const sql = 'select count(*) from settings';
      await Promise.all([reader.run({ sql }), writer.run({ sql })]);
    },
    async close() {
      await queue.drain();
      await reader.close();
      await writer.close();
    },
  };
}
