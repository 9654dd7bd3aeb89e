import { afterAll, beforeAll } from 'vitest';
import type { PostgresOptions } from './postgres-options.ts';
import { startScratchPostgres } from './scratch-postgres.ts';
import type { ScratchPostgres, ScratchPostgresOptions } from './scratch-postgres.ts';

/** One PostgreSQL for the tests of a file. */
export function usePostgres(options: ScratchPostgresOptions = {}): {
  server: () => ScratchPostgres;
  newDatabase: () => Promise<PostgresOptions>;
} {
  let postgres: ScratchPostgres | null = null;
  beforeAll(async () => {
    postgres = await startScratchPostgres(options);
  });
  afterAll(async () => {
    await postgres?.[Symbol.asyncDispose]();
  });
  const server = (): ScratchPostgres => {
    if (postgres === null) throw new Error('There is no PostgreSQL outside of a test.');
    return postgres;
  };
  return { server, newDatabase: () => server().createDatabase() };
}
