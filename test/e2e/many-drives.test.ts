import { randomUUID } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import { insertDrives, sampleDrive } from '../../src/metadata/describe-sample-rows.ts';
import { BUILT_MAIN } from '../helpers/built-command.ts';
import { ADMIN_USER, scratchDirectory, startServer } from '../helpers/server-process.ts';
import { openTestStore } from '../helpers/test-metadata.ts';

const DRIVES = 100_000;
/** All drives' info as objects takes many times this; a server that kept it would run out of memory. */
const HEAP_MIB = 96;

// With PostgreSQL, and another node beside it, this takes many times what it takes with SQLite.
vi.setConfig({ testTimeout: 900_000 });

test('a list of 100,000 drives is sent again and again by a server with a small heap', async () => {
  const scratch = await scratchDirectory();
  const dataDirectory = join(scratch, 'data');
  {
    await using _first = await startServer({ dataDirectory });
  }
  const store = await openTestStore(dataDirectory);
  for (let done = 0; done < DRIVES; done += 1000) {
    const drives = Array.from({ length: 1000 }, () =>
      sampleDrive(ADMIN_USER, { driveId: randomUUID(), poolName: 'default', cipher: 'none', tags: ['many'] }),
    );
    await insertDrives(store, drives);
  }
  await store.close();

  await using server = await startServer({
    dataDirectory,
    command: [process.execPath, `--max-old-space-size=${HEAP_MIB}`, BUILT_MAIN],
  });
  for (let round = 0; round < 3; round += 1) {
    const infos = await server.get('/drives/info');
    expect(infos.status).toBe(200);
    expect(infos.text.match(/^drive /gm)).toHaveLength(DRIVES);
    const list = await Promise.all([server.get('/drives/list'), server.get('/drives/list')]);
    for (const { text } of list) expect(text.trim().split('\n')).toHaveLength(DRIVES);
  }
  expect(await server.stop()).toBe(0);
  await rm(scratch, { recursive: true });
});
