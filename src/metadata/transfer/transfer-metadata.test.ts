import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { insertUser, sampleClaim, sampleDrive, sampleKeys } from '../describe-sample-rows.ts';
import type { MetadataStore } from '../metadata-store.ts';
import type { PostgresOptions } from '../postgres/postgres-options.ts';
import { openPostgresStore } from '../postgres/postgres-store.ts';
import { usePostgres } from '../postgres/scratch-database.ts';
import { startScratchProxy } from '../postgres/scratch-proxy.ts';
import { openSqliteStore } from '../sqlite/sqlite-store.ts';
import { openSqliteThread } from '../sqlite/sqlite-thread-client.ts';
import { findMovedMark } from './moved-mark.ts';
import { COPIED_TABLES } from './tables.ts';
import { transferMetadata } from './transfer-metadata.ts';

const { server, newDatabase } = usePostgres();

/** More than two batches. */
const DRIVES = 1100;
/** How many of them have rows in the other tables as well. */
const FULL_DRIVES = 20;

let directory = '';
let path = '';

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'drivebay-transfer-'));
  path = join(directory, 'metadata.sqlite');
});

afterEach(async () => rm(directory, { recursive: true }));

/** Runs with the SQLite database open, and closes it. */
async function withStore<Result>(work: (store: MetadataStore) => Promise<Result>): Promise<Result> {
  const store = await openSqliteStore({ path });
  try {
    return await work(store);
  } finally {
    await store.close();
  }
}

/** Rows in every table, among them what does not fit into a number of JavaScript. */
async function fill(store: MetadataStore): Promise<void> {
  const user = await insertUser(store, { name: 'ünï', quotaDrives: 2000, quotaBytes: 2 ** 50 });
  const drives = Array.from({ length: DRIVES }, (_, index) =>
    sampleDrive(user.userId, {
      tags: [`tag${index}`, 'all'],
      readers: [user.userId],
      attributes: { a: 'b\n"' },
    }),
  );
  await store.transaction(async (tx) => {
    await tx.settings.set('installation', 'this-one');
    for (const [index, drive] of drives.entries()) {
      const { driveId } = drive;
      await tx.drives.insert(drive, sampleKeys(index % 200));
      if (index >= FULL_DRIVES) continue;
      const epoch = await tx.claims.nextEpoch(driveId);
      await tx.claims.put(
        sampleClaim(driveId, { epoch, leaseMs: index % 2 === 0 ? null : 9, expiresAtMs: 9 }),
      );
      const job = { jobId: `job${index}`, targetDriveId: driveId, sourceDriveId: 'x', createdAtMs: index };
      await tx.imaging.insert({ ...job, conversion: 'plain', totalBytes: 5 });
      await tx.drives.insertAvoided(driveId, [drives[0]?.driveId ?? '']);
      await tx.moves.insert({
        driveId,
        poolName: 'other',
        tier: 'ssd',
        totalBytes: 2 ** 52,
        createdAtMs: index,
        nodeId: 'maker',
      });
      await tx.strays.insert({ volumeName: driveId, poolName: 'another' });
      const entry = {
        userId: user.userId,
        idempotencyKey: driveId,
        bodyHash: new Uint8Array(32).fill(index),
      };
      await tx.drives.insertIdempotent({ ...entry, driveId, expiresAtMs: 2 ** 52 });
    }
    const lease = { leaseOwner: 'node', nowMs: 1, leaseExpiresAtMs: 2 };
    const job = await tx.imaging.lease(lease);
    await tx.imaging.remove({ jobId: job?.jobId ?? '', leaseOwner: 'node' });
    await tx.imaging.lease(lease);
  });
  const much = { readBytes: 2 ** 52, readRequests: 3, writeBytes: 5, writeRequests: 7 };
  for (let round = 0; round < 5; round += 1)
    await store.addCounters(new Map([[drives[0]?.driveId ?? '', { ...much, readRequests: round }]]));
}

function transfer(target: PostgresOptions): ReturnType<typeof transferMetadata> {
  return transferMetadata({ path, target, nowMs: () => 1_700_000_000_000 });
}

/** Every row of every table, each value as text, bytes in hexadecimal. */
async function sqliteRows(): Promise<Record<string, readonly string[]>> {
  const reader = await openSqliteThread({ path, role: 'reader' });
  const tables: Record<string, readonly string[]> = {};
  for (const { name, columns } of await tablesOf()) {
    const values = columns.map(
      (column) => `coalesce(iif(typeof("${column}") = 'blob', lower(hex("${column}")), "${column}"), 'null')`,
    );
    const { rows } = await reader.run({ sql: `select concat_ws('|', ${values.join(', ')}) from "${name}"` });
    tables[name] = rows.map(([row]) => String(row)).sort();
  }
  await reader.close();
  return tables;
}

async function postgresRows({ database }: PostgresOptions): Promise<Record<string, readonly string[]>> {
  const tables: Record<string, readonly string[]> = {};
  for (const { name, columns } of await tablesOf()) {
    const values = columns.map(
      (column) => `coalesce(regexp_replace("${column}"::text, '^\\\\x', ''), 'null')`,
    );
    const rows = await server().query(
      `select concat_ws('|', ${values.join(', ')}) as row from "${name}"`,
      database,
    );
    tables[name] = rows.map(({ row }) => String(row)).sort();
  }
  return tables;
}

/** The tables as the database itself says that they are. */
async function tablesOf(): Promise<
  readonly { readonly name: string; readonly columns: readonly string[] }[]
> {
  const reader = await openSqliteThread({ path, role: 'reader' });
  const sql = `select m.name, group_concat(c.name) from sqlite_schema m, pragma_table_info(m.name) c
    where m.type = 'table' and m.name not like 'sqlite_%' and m.name not like 'kysely_%' group by m.name`;
  const { rows } = await reader.run({ sql });
  await reader.close();
  return rows.map(([name, columns]) => ({ name: String(name), columns: String(columns).split(',') }));
}

async function tableCount({ database }: PostgresOptions): Promise<unknown> {
  const sql = `select count(*)::int as count from pg_tables where schemaname = 'public'`;
  return (await server().query(sql, database))[0]?.['count'];
}

test('every row of every table arrives as it was, and what is new comes after it', async () => {
  await withStore(fill);
  const before = await sqliteRows();
  const target = await newDatabase();
  const copied = await transfer(target);
  expect(Object.keys(before).sort()).toEqual(COPIED_TABLES.map(({ name }) => name).sort());
  expect(await postgresRows(target)).toEqual(before);
  expect(copied).toMatchObject({
    drives: DRIVES,
    drive_tags: 2 * DRIVES,
    imaging_jobs: FULL_DRIVES - 1,
    settings: 1,
  });
  expect(before['drive_counters']?.join()).toContain(`${5 * 2 ** 52}`);

  const store = await openPostgresStore(target);
  const [user] = await store.users.list({ after: null, limit: 1 });
  const drive = sampleDrive(user?.userId ?? '');
  await store.transaction(async (tx) => {
    await tx.drives.insert(drive, null);
    const job = { jobId: 'new', targetDriveId: drive.driveId, sourceDriveId: 'x', createdAtMs: 0 };
    await tx.imaging.insert({ ...job, conversion: 'plain', totalBytes: 5 });
  });
  expect((await store.imaging.list(2 * FULL_DRIVES)).at(-1)?.jobId).toBe('new');
  await store.close();
});

test('the source is marked, and doing it once more finds that it was done', async () => {
  await withStore(async (store) => store.transaction((tx) => tx.settings.set('installation', 'this-one')));
  const target = await newDatabase();
  await transfer(target);
  const mark = { database: `${target.database} at 127.0.0.1:${target.port}`, movedAtMs: 1_700_000_000_000 };
  expect(await withStore(findMovedMark)).toEqual(mark);
  expect(await transfer(target)).toBeNull();
  await expect(transfer(await newDatabase())).rejects.toThrow(/were moved to .* already.*--undo/);
  expect(await withStore(findMovedMark)).toEqual(mark);
});

test.each([
  [
    'tables of somebody else',
    'create table settings (other text); insert into settings values (1)',
    /tables, such as settings/,
  ],
  ['a table', 'create table apples (other text)', /tables, such as apples/],
  [
    'another installation',
    `create table settings (key text, value text); insert into settings values ('installation', 'another')`,
    /the metadata of another installation, another/,
  ],
  [
    'this installation, without the mark',
    `create table settings (key text, value text); insert into settings values ('installation', 'this-one')`,
    /this very installation/,
  ],
])('a database that holds %s is refused and left as it is', async (_what, sql, sentence) => {
  await withStore(async (store) => store.transaction((tx) => tx.settings.set('installation', 'this-one')));
  const target = await newDatabase();
  await server().query(sql, target.database);
  await expect(transfer(target)).rejects.toThrow(sentence);
  expect(await tableCount(target)).toBe(1);
  expect(await withStore(findMovedMark)).toBeNull();
});

test('a copy that is refused half-way leaves the database empty and the source in use', async () => {
  await withStore(fill);
  const target = await newDatabase();
  // The claims come late, so much has been copied by then.
  const failure = `
    create function refuse() returns trigger language plpgsql as $$ begin raise exception 'refused'; end $$;
    create function watch() returns event_trigger language plpgsql as $$ begin
      if to_regclass('claims') is not null then
        create or replace trigger refuse before insert on claims for each row execute function refuse();
      end if; end $$;
    create event trigger watch on ddl_command_end when tag in ('CREATE TABLE') execute function watch()`;
  await server().query(failure, target.database);
  await expect(transfer(target)).rejects.toThrow('refused');
  expect(await tableCount(target)).toBe(0);
  expect(await withStore(findMovedMark)).toBeNull();
});

test('of a commit whose answer was lost the next attempt finds out that it was made', async () => {
  await withStore(async (store) => store.transaction((tx) => tx.settings.set('installation', 'this-one')));
  const target = await newDatabase();
  await using proxy = await startScratchProxy(target);
  // Messages name the database as it was reached, so both attempts go the same way.
  const viaProxy = { ...target, port: proxy.port };
  proxy.mode = 'cut at commit';
  await expect(transfer(viaProxy)).rejects.toMatchObject({ facts: { isInDoubt: true } });
  expect(await withStore(findMovedMark)).not.toBeNull();
  expect(await transfer(viaProxy)).toBeNull();
  const rows = await server().query('select key, value from settings', target.database);
  expect(rows).toEqual([{ key: 'installation', value: 'this-one' }]);
});
