import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { User } from '../../core/user.ts';
import type { MetadataStore } from '../metadata-store.ts';
import { insertDrive, insertUser, sampleDrive, SAMPLE_HASH, sampleUser } from '../describe-sample-rows.ts';
import { createSqliteStore, openSqliteStore } from './sqlite-store.ts';
import { openSqliteThread } from './sqlite-thread-client.ts';

let directory = '';
let path = '';

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'drivebay-opening-'));
  path = join(directory, 'metadata.db');
});

afterEach(async () => {
  await rm(directory, { recursive: true });
});

async function openAndClose(): Promise<void> {
  const store = await openSqliteStore({ path });
  await store.close();
}

describe('opening SQLite', () => {
  test('keeps what is there', async () => {
    const store = await openSqliteStore({ path });
    const user = await insertUser(store);
    await store.close();
    const again = await openSqliteStore({ path });
    expect(await again.users.find(user.userId)).toEqual(user);
    await again.close();
  });

  test('brings a database of the first version up to date, and its drives with it', async () => {
    const store = await openSqliteStore({ path });
    const drive = await insertDrive(store, { name: 'old' });
    await store.close();
    const database = new DatabaseSync(path);
    for (const table of [
      'claims',
      'notices',
      'pools',
      'nodes',
      'avoided_drives',
      'drive_moves',
      'stray_volumes',
    ]) {
      database.exec(`drop table ${table}`);
    }
    database.exec('drop index drives_by_direct_epoch');
    for (const column of [
      'last_epoch',
      'volume_name',
      'direct_epoch',
      'limit_iops',
      'limit_iops_burst',
      'limit_bytes',
      'limit_bytes_burst',
    ]) {
      database.exec(`alter table drives drop column ${column}`);
    }
    database.exec("delete from kysely_migration where name <> '0001-initial-schema'");
    database.close();
    const again = await openSqliteStore({ path });
    expect(await again.drives.find(drive.driveId)).toEqual(drive);
    expect(await again.transaction((tx) => tx.claims.nextEpoch(drive.driveId))).toBe(1);
    await again.close();
  });

  test('makes strict tables only', async () => {
    await openAndClose();
    const database = new DatabaseSync(path, { readOnly: true });
    const loose = database
      .prepare('select name from pragma_table_list where strict = 0 and schema = ?')
      .all('main');
    database.close();
    expect(loose.map((table) => table['name']).sort()).toEqual([
      'kysely_migration',
      'kysely_migration_lock',
      'sqlite_schema',
      'sqlite_sequence',
    ]);
  });

  test('syncs every commit, keeps a log, checks references and overwrites what is deleted', async () => {
    const writer = await openSqliteThread({ path, role: 'writer' });
    const settings: unknown[] = [];
    for (const name of ['journal_mode', 'synchronous', 'foreign_keys', 'secure_delete', 'locking_mode']) {
      settings.push((await writer.run({ sql: `pragma ${name}` })).rows[0]?.[0]);
    }
    await writer.close();
    expect(settings).toEqual(['wal', 2, 1, 1, 'normal']);
  });

  test('refuses a database that a newer Drivebay has written, and leaves it as it is', async () => {
    await openAndClose();
    const database = new DatabaseSync(path);
    database.exec(`insert into kysely_migration values ('9999-future', '2099-01-01T00:00:00.000Z')`);
    database.close();
    await expect(openSqliteStore({ path })).rejects.toMatchObject({
      code: 'system',
      message: expect.stringMatching(/newer Drivebay.*9999-future.*start that version/),
    });
    const after = new DatabaseSync(path);
    expect(after.prepare('select count(*) as migrations from kysely_migration').get()?.['migrations']).toBe(
      9,
    );
    after.close();
  });

  test('leaves nothing of a migration that fails', async () => {
    const database = new DatabaseSync(path);
    database.exec('create table settings (other text)');
    database.close();
    await expect(openSqliteStore({ path })).rejects.toThrow('already exists');
    const after = new DatabaseSync(path);
    expect(after.prepare('select name from sqlite_schema').all()).toEqual([{ name: 'settings' }]);
    after.close();
  });

  test('says what to do when the database cannot be opened', async () => {
    path = join(directory, 'missing', 'metadata.db');
    await expect(openSqliteStore({ path })).rejects.toMatchObject({
      code: 'system',
      message: expect.stringContaining('check that its directory exists'),
      cause: expect.objectContaining({ message: expect.stringContaining('ENOENT') }),
    });
    path = join(directory, 'folder');
    await mkdir(path);
    await expect(openSqliteStore({ path })).rejects.toMatchObject({ code: 'system' });
  });

  test('says what to do when the file is no database', async () => {
    await writeFile(path, Buffer.alloc(8192, 'x'));
    await expect(openSqliteStore({ path })).rejects.toMatchObject({
      code: 'system',
      message: expect.stringContaining('restore it from a backup'),
      facts: expect.objectContaining({ path }),
    });
  });
});

describe('a full disk', () => {
  let store: MetadataStore | null = null;

  afterEach(async () => {
    await store?.close();
    store = null;
  });

  /** A store whose database may grow by two pages only, and the way to give it room again. */
  async function openFull(user: User): Promise<{ full: MetadataStore; makeRoom: () => Promise<void> }> {
    await openAndClose();
    const writer = await openSqliteThread({ path, role: 'writer' });
    const full = createSqliteStore(writer, await openSqliteThread({ path, role: 'reader' }));
    store = full;
    await full.transaction((tx) => tx.users.insert(user, SAMPLE_HASH));
    const { rows } = await writer.run({ sql: 'pragma page_count' });
    await writer.run({ sql: `pragma max_page_count = ${Number(rows[0]?.[0]) + 2}` });
    const makeRoom = async (): Promise<void> => {
      await writer.run({ sql: 'pragma max_page_count = 1000000' });
    };
    return { full, makeRoom };
  }

  test('is full to every transaction of the commit, changes nothing, and ends when there is room', async () => {
    const user = sampleUser();
    const { full, makeRoom } = await openFull(user);
    const big = sampleDrive(user.userId, { attributes: { big: 'x'.repeat(100_000) } });
    const other = sampleUser();
    const attempts = await Promise.allSettled([
      full.transaction((tx) => tx.drives.insert(big, null)),
      full.transaction((tx) => tx.users.insert(other, SAMPLE_HASH)),
      full.transaction((tx) => tx.drives.insert(big, null)),
    ]);
    for (const attempt of attempts) {
      expect(attempt).toMatchObject({
        status: 'rejected',
        reason: { code: 'full', message: expect.stringContaining('free some space') },
      });
    }
    expect(await full.users.find(other.userId)).toBeNull();
    await makeRoom();
    await full.transaction((tx) => tx.drives.insert(big, null));
    expect(await full.drives.find(big.driveId)).toEqual(big);
  });

  test('ends a transaction for good, also when its work carries on', async () => {
    const user = sampleUser();
    const { full } = await openFull(user);
    const big = sampleDrive(user.userId, { attributes: { big: 'x'.repeat(100_000) } });
    const stubborn = full.transaction(async (tx) => {
      await expect(tx.drives.insert(big, null)).rejects.toMatchObject({ code: 'full' });
      await tx.users.update({ ...user, name: 'half' });
    });
    await expect(stubborn).rejects.toMatchObject({ code: 'system' });
    expect(await full.users.find(user.userId)).toEqual(user);
  });
});
