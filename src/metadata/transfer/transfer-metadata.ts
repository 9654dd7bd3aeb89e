import type { QueryResult } from 'pg';
import type { MetadataStore } from '../metadata-store.ts';
import { listMigrations, migrate } from '../migrations/migrations.ts';
import { POSTGRES_COLUMN_TYPES } from '../postgres/postgres-column-types.ts';
import { openConnections } from '../postgres/postgres-connections.ts';
import type { Statement } from '../postgres/postgres-connections.ts';
import { openKysely } from '../postgres/postgres-dialect.ts';
import { isInDoubt } from '../postgres/postgres-error.ts';
import { databaseName } from '../postgres/postgres-options.ts';
import type { PostgresOptions } from '../postgres/postgres-options.ts';
import { checkDatabase, MIGRATION_MS } from '../postgres/postgres-store.ts';
import { PostgresWriter } from '../postgres/postgres-writer.ts';
import { openSqliteStore } from '../sqlite/sqlite-store.ts';
import { openSqliteThread } from '../sqlite/sqlite-thread-client.ts';
import { createTransactionQueue } from '../transaction-queue.ts';
import type { Runner } from '../transaction-queue.ts';
import { copyTable } from './copy-table.ts';
import type { CopyEnds } from './copy-table.ts';
import { findMovedMark, removeMovedMark, setMovedMark } from './moved-mark.ts';
import { COPIED_TABLES } from './tables.ts';
import type { TableName } from './tables.ts';

/** How many rows of each table were copied. */
export type CopiedRows = Readonly<Record<TableName, number>>;

export interface TransferOptions {
  /** The SQLite database, which nobody else may have open. */
  readonly path: string;
  readonly target: PostgresOptions;
  readonly nowMs: () => number;
}

/**
 * Copies all metadata from a SQLite database into an empty PostgreSQL database, in one transaction, and marks the
 * first as moved. The mark is set before the commit and taken off again when that is refused: so never are both
 * databases in use, and whatever interrupts this, doing it once more ends well.
 *
 * @returns null when a transfer that was interrupted at its very end turns out to have been made
 * @throws Error or DriveError with a sentence for the operator; nothing has been moved then
 */
export async function transferMetadata({ path, target, nowMs }: TransferOptions): Promise<CopiedRows | null> {
  await using parts = new AsyncDisposableStack();
  const connections = parts.adopt(openConnections(target), (opened) => opened.close());
  await checkDatabase(connections);
  const store = parts.adopt(await openSqliteStore({ path }), (opened) => opened.close());
  const reader = parts.adopt(await openSqliteThread({ path, role: 'reader' }), (opened) => opened.close());
  const writer = new PostgresWriter(connections, { timeoutMs: MIGRATION_MS, vacuum: () => undefined });
  const database = databaseName(target);
  let isMarked = false;
  try {
    return await createTransactionQueue(writer).transaction(async ({ run }) => {
      if (await hasArrived(store, { run, database })) return null;
      await removeMovedMark(store);
      await migrate(openKysely(run), listMigrations(POSTGRES_COLUMN_TYPES));
      const copied = await copyAll({ source: (statement) => reader.run(statement), target: run });
      isMarked = true;
      await setMovedMark(store, { database, movedAtMs: nowMs() });
      return copied;
    });
  } catch (error) {
    // Doing it once more finds out whether a commit in doubt was made.
    if (isMarked && !isInDoubt(error)) await removeMovedMark(store);
    throw error;
  }
}

/** Whether the metadata are in the target already. @throws Error when the target is not empty otherwise */
async function hasArrived(
  store: MetadataStore,
  { run, database }: { run: Runner<Statement, QueryResult>; database: string },
): Promise<boolean> {
  const mark = await findMovedMark(store);
  if (mark !== null && mark.database !== database) {
    throw new Error(
      `The metadata were moved to the PostgreSQL database ${mark.database} already: use that one, or take the move ` +
        'back with --undo first.',
    );
  }
  const tables = await listTables(run);
  if (tables.length === 0) return false;
  const installationId = tables.includes('settings') ? await findInstallation(run) : null;
  const ownId = await store.transaction((tx) => tx.settings.get('installation'));
  if (mark !== null && installationId === ownId) return true;
  const content =
    installationId === null
      ? `tables, such as ${tables[0]}`
      : installationId === ownId
        ? 'the metadata of this very installation, from an earlier move'
        : `the metadata of another installation, ${installationId}`;
  throw new Error(
    `The PostgreSQL database ${database} is not empty: it holds ${content}. Make a new, empty one, and name that.`,
  );
}

async function listTables(run: Runner<Statement, QueryResult>): Promise<readonly string[]> {
  const sql = 'select tablename from pg_tables where schemaname = current_schema() order by tablename';
  const { rows } = await run({ sql });
  return rows.map(({ tablename }) => String(tablename));
}

/** The installation whose metadata the database holds; null when the table is somebody else's. */
async function findInstallation(run: Runner<Statement, QueryResult>): Promise<string | null> {
  const sql = `select to_jsonb(settings) as setting from settings`;
  const { rows } = await run({ sql });
  const settings = rows.map(({ setting }) => setting as { key?: unknown; value?: unknown });
  const found = settings.find(({ key }) => key === 'installation');
  return typeof found?.value === 'string' ? found.value : null;
}

async function copyAll(ends: CopyEnds): Promise<CopiedRows> {
  const copied: Partial<Record<TableName, number>> = {};
  for (const table of COPIED_TABLES) copied[table.name] = await copyTable(ends, table);
  return copied as CopiedRows;
}
