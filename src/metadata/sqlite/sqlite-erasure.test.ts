import { randomBytes } from 'node:crypto';
import { cp, mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { insertUser, sampleDrive } from '../describe-sample-rows.ts';
import type { MetadataStore, WrappedKeys } from '../metadata-store.ts';
import { openSqliteStore } from './sqlite-store.ts';
import { openSqliteThread } from './sqlite-thread-client.ts';

let directory = '';
let store: MetadataStore | null = null;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'drivebay-erasure-'));
});

afterEach(async () => {
  await store?.close();
  store = null;
  await rm(directory, { recursive: true });
  await rm(`${directory}-crashed`, { recursive: true, force: true });
});

async function open(): Promise<MetadataStore> {
  store = await openSqliteStore({ path: join(directory, 'metadata.db') });
  return store;
}

function randomKeys(): WrappedKeys {
  return { masterKeyId: 'master', volumeKey: randomBytes(92), passphrase: randomBytes(60) };
}

/** Drives with keys, in so many transactions that pages of the database have been split over and over. */
async function insertKeyedDrives(opened: MetadataStore, count: number): Promise<Map<string, WrappedKeys>> {
  const user = await insertUser(opened);
  const keys = new Map<string, WrappedKeys>();
  while (keys.size < count) {
    await opened.transaction(async (tx) => {
      for (let index = 0; index < 50; index += 1) {
        const drive = sampleDrive(user.userId);
        keys.set(drive.driveId, randomKeys());
        await tx.drives.insert(drive, keys.get(drive.driveId) ?? null);
      }
    });
  }
  return keys;
}

/** How many of these keys are in any of the database's files as they are now. */
async function countFound(keys: Iterable<WrappedKeys>, from = directory): Promise<number> {
  const files = await Promise.all((await readdir(from)).map((name) => readFile(join(from, name))));
  const secrets = [...keys].flatMap((each) => [Buffer.from(each.volumeKey), Buffer.from(each.passphrase)]);
  return secrets.filter((secret) => files.some((file) => file.includes(secret))).length;
}

test('no file holds a copy of keys that were forgotten, replaced or removed with their drive', async () => {
  const opened = await open();
  const keys = await insertKeyedDrives(opened, 300);
  expect(await countFound(keys.values())).toBe(600);
  const gone: WrappedKeys[] = [];
  const found: number[] = [];
  let turn = 0;
  for (const [driveId, each] of keys) {
    turn += 1;
    if (turn % 10 === 0) continue;
    gone.push(each);
    await opened.transaction(async (tx) => {
      if (turn % 3 === 0) await tx.drives.updateKeys(driveId, randomKeys());
      else if (turn % 3 === 1) await tx.drives.updateKeys(driveId, null);
      else await tx.drives.remove(driveId);
    });
    if (turn % 50 === 1) found.push(await countFound(gone));
  }
  found.push(await countFound(gone));
  expect(found).toEqual([0, 0, 0, 0, 0, 0, 0]);
  expect(await countFound(keys.values())).toBe(60);
});

test('keys forgotten just before a crash leave no copy once the store is opened again', async () => {
  const opened = await open();
  const [driveId, keys] = [...(await insertKeyedDrives(opened, 50))][0] ?? ['', randomKeys()];
  await opened.close();
  // What a crash between the commit and the erasure leaves behind.
  const writer = await openSqliteThread({ path: join(directory, 'metadata.db'), role: 'writer' });
  await writer.run({ sql: 'delete from drive_keys where drive_id = ?', parameters: [driveId] });
  const crashed = `${directory}-crashed`;
  await cp(directory, crashed, { recursive: true });
  await writer.close();
  expect(await countFound([keys], crashed)).toBe(2);
  const again = await openSqliteStore({ path: join(crashed, 'metadata.db') });
  const found = await countFound([keys], crashed);
  await again.close();
  expect(found).toBe(0);
});

test('only the user that Drivebay runs as may read the files', async () => {
  await insertUser(await open());
  for (const name of await readdir(directory)) {
    expect({ name, mode: (await stat(join(directory, name))).mode & 0o077 }).toEqual({ name, mode: 0 });
  }
});
