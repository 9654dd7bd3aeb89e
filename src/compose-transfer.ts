import { existsSync } from 'node:fs';
import { lockDataDirectory } from './compose-data-directory.ts';
import { postgresOptions, sqlitePath } from './compose-metadata.ts';
import type { MetadataDatabase } from './config/config.ts';
import { databaseName } from './metadata/postgres/postgres-options.ts';
import { openSqliteStore } from './metadata/sqlite/sqlite-store.ts';
import { findMovedMark, removeMovedMark } from './metadata/transfer/moved-mark.ts';
import { transferMetadata } from './metadata/transfer/transfer-metadata.ts';
import type { CopiedRows } from './metadata/transfer/transfer-metadata.ts';
import { systemClock } from './runtime/clock.ts';

/** What a move of metadata has done. */
export interface MoveResult {
  /** What names the database in messages. */
  readonly database: string;
  /** Null when an earlier move, which was interrupted, had done everything. */
  readonly copied: CopiedRows | null;
}

/** Moves the metadata of a server that is stopped from its data directory into an empty PostgreSQL database. */
export async function moveMetadata({
  dataDirectory,
  target,
}: {
  readonly dataDirectory: string;
  readonly target: MetadataDatabase;
}): Promise<MoveResult> {
  requireSqlite(dataDirectory);
  using _lock = lockDataDirectory(dataDirectory);
  const path = sqlitePath(dataDirectory);
  const options = postgresOptions(target);
  const copied = await transferMetadata({ path, target: options, nowMs: systemClock.nowMs });
  return { database: databaseName(options), copied };
}

/**
 * Lets the server use the SQLite database of its data directory again, which is as it was when it was moved.
 *
 * @returns what names the database that it was moved to
 */
export async function takeMoveBack(dataDirectory: string): Promise<string> {
  requireSqlite(dataDirectory);
  using _lock = lockDataDirectory(dataDirectory);
  const store = await openSqliteStore({ path: sqlitePath(dataDirectory) });
  try {
    const mark = await findMovedMark(store);
    if (mark === null)
      throw new Error(`The metadata of ${dataDirectory} were not moved: there is nothing to take back.`);
    await removeMovedMark(store);
    return mark.database;
  } finally {
    await store.close();
  }
}

function requireSqlite(dataDirectory: string): void {
  if (existsSync(sqlitePath(dataDirectory))) return;
  throw new Error(
    `There is no metadata.sqlite in ${dataDirectory}: name the server's data directory with --data-dir.`,
  );
}
