import { afterAll } from 'vitest';
import { databaseUrl, startScratchPostgres } from '../../src/metadata/postgres/scratch-postgres.ts';
import type { ScratchPostgres } from '../../src/metadata/postgres/scratch-postgres.ts';

let starting: Promise<ScratchPostgres> | null = null;
const urls = new Map<string, Promise<string>>();

/**
 * Where the servers of a test file keep their metadata: with `DRIVEBAY_TEST_METADATA=postgres` each data directory has
 * a database in a PostgreSQL of the file's own, otherwise with SQLite.
 */
export async function metadataEnvironment(dataDirectory: string): Promise<Record<string, string>> {
  if (process.env['DRIVEBAY_TEST_METADATA'] !== 'postgres') return {};
  starting ??= startScratchPostgres();
  const postgres = await starting;
  const url = urls.get(dataDirectory) ?? postgres.createDatabase().then(databaseUrl);
  urls.set(dataDirectory, url);
  return { DRIVEBAY_METADATA: await url };
}

afterAll(async () => {
  const postgres = await starting;
  starting = null;
  urls.clear();
  await postgres?.[Symbol.asyncDispose]();
});
