import { join } from 'node:path';
import { afterAll } from 'vitest';
import type { MetadataStore } from '../../src/metadata/metadata-store.ts';
import type { PostgresOptions } from '../../src/metadata/postgres/postgres-options.ts';
import { openPostgresStore } from '../../src/metadata/postgres/postgres-store.ts';
import { databaseUrl, startScratchPostgres } from '../../src/metadata/postgres/scratch-postgres.ts';
import type { ScratchPostgres } from '../../src/metadata/postgres/scratch-postgres.ts';
import { openSqliteStore } from '../../src/metadata/sqlite/sqlite-store.ts';
import { nodeCount } from './test-nodes.ts';

let starting: Promise<ScratchPostgres> | null = null;
const databases = new Map<string, Promise<PostgresOptions>>();

/**
 * Where the servers of a test file keep their metadata: with `DRIVEBAY_TEST_METADATA=postgres`, and where a server is
 * several nodes, each data directory has a database in a PostgreSQL of the file's own, otherwise SQLite.
 */
export async function metadataEnvironment(dataDirectory: string): Promise<Record<string, string>> {
  if (!usesPostgres()) return {};
  return { DRIVEBAY_METADATA: databaseUrl(await databaseOf(dataDirectory)) };
}

/** Opens the metadata of a server past it. */
export async function openTestStore(dataDirectory: string): Promise<MetadataStore> {
  if (usesPostgres()) return await openPostgresStore(await databaseOf(dataDirectory));
  return await openSqliteStore({ path: join(dataDirectory, 'metadata.sqlite') });
}

function usesPostgres(): boolean {
  return process.env['DRIVEBAY_TEST_METADATA'] === 'postgres' || nodeCount() > 1;
}

async function databaseOf(dataDirectory: string): Promise<PostgresOptions> {
  starting ??= startScratchPostgres();
  const postgres = await starting;
  const database = databases.get(dataDirectory) ?? postgres.createDatabase();
  databases.set(dataDirectory, database);
  return await database;
}

afterAll(async () => {
  const postgres = await starting;
  starting = null;
  databases.clear();
  await postgres?.[Symbol.asyncDispose]();
});
