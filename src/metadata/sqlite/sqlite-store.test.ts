import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll } from 'vitest';
import { describeMetadataStore } from '../describe-metadata-store.ts';
import { openSqliteStore } from './sqlite-store.ts';

let directory = '';
let opened = 0;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'drivebay-metadata-'));
});

afterAll(async () => {
  await rm(directory, { recursive: true });
});

describeMetadataStore('SQLite', async () => {
  opened += 1;
  return await openSqliteStore({ path: join(directory, `${opened}.db`) });
});
