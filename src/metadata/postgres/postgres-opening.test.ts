import { Client } from 'pg';
import { describe, expect, test } from 'vitest';
import { insertUser, sampleDrive, sampleKeys, SAMPLE_HASH } from '../describe-sample-rows.ts';
import { openConnections } from './postgres-connections.ts';
import type { PostgresOptions } from './postgres-options.ts';
import { openPostgresStore } from './postgres-store.ts';
import { usePostgres } from './scratch-database.ts';

const { server, newDatabase } = usePostgres();

async function withRawClient<Result>(
  { host, port, database, user, password }: PostgresOptions,
  work: (client: Client) => Promise<Result>,
): Promise<Result> {
  const client = new Client({ host, port, database, user, password: password ?? '' });
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

/** Everything that an error would show, wherever it is logged. */
function everythingOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const own = Object.getOwnPropertyNames(error)
    .filter((name) => name !== 'cause')
    .map((name) => JSON.stringify((error as unknown as Record<string, unknown>)[name]));
  return [...own, error.cause === undefined ? '' : everythingOf(error.cause)].join('\n');
}

describe('opening PostgreSQL', () => {
  test('keeps what is there', async () => {
    const database = await newDatabase();
    const store = await openPostgresStore(database);
    const user = await insertUser(store);
    await store.close();
    const again = await openPostgresStore(database);
    expect(await again.users.find(user.userId)).toEqual(user);
    await again.close();
  });

  test('makes the tables once when five nodes start at the same time', async () => {
    const database = await newDatabase();
    const stores = await Promise.all(Array.from({ length: 5 }, () => openPostgresStore(database)));
    await Promise.all(stores.map((store) => insertUser(store)));
    for (const store of stores) expect(await store.users.list({ after: null, limit: 9 })).toHaveLength(5);
    await Promise.all(stores.map((store) => store.close()));
    const migrations = await server().query('select name from kysely_migration', database.database);
    expect(migrations).toHaveLength(8);
  });

  test('waits for the migration of another node, however long that takes', async () => {
    const database = { ...(await newDatabase()), timeoutMs: 500 };
    const opened = await withRawClient(database, async (client) => {
      await client.query('begin; select pg_advisory_xact_lock(7233180564214093)');
      const opening = openPostgresStore(database);
      await new Promise((resolve) => {
        setTimeout(resolve, 1500);
      });
      await client.query('commit');
      return await opening;
    });
    await expect(opened.ping()).resolves.toBeUndefined();
    await opened.close();
  });

  test('refuses a database that a newer Drivebay has written, and leaves it as it is', async () => {
    const database = await newDatabase();
    await (await openPostgresStore(database)).close();
    const sql = `insert into kysely_migration values ('9999-future', '2099-01-01T00:00:00.000Z')`;
    await server().query(sql, database.database);
    await expect(openPostgresStore(database)).rejects.toMatchObject({
      code: 'system',
      message: expect.stringMatching(/newer Drivebay.*9999-future.*start that version/),
    });
    expect(await server().query('select name from kysely_migration', database.database)).toHaveLength(9);
  });

  test('leaves nothing of a migration that fails', async () => {
    const database = await newDatabase();
    await server().query('create table settings (other text)', database.database);
    await expect(openPostgresStore(database)).rejects.toThrow('already exists');
    const tables = await server().query(
      `select tablename from pg_tables where schemaname = 'public'`,
      database.database,
    );
    expect(tables).toEqual([{ tablename: 'settings' }]);
  });

  test('needs no more than the rights of the owner of the database', async () => {
    const database = await newDatabase();
    const owner = `owner_of_${database.database}`;
    await server().query(`create role ${owner} login password 'plain'`);
    await server().query(`alter database ${database.database} owner to ${owner}`);
    const store = await openPostgresStore({ ...database, user: owner, password: 'plain' });
    const drive = sampleDrive((await insertUser(store)).userId);
    await store.transaction((tx) => tx.drives.insert(drive, sampleKeys(1)));
    await store.transaction((tx) => tx.drives.remove(drive.driveId));
    expect(await store.drives.find(drive.driveId)).toBeNull();
    await store.close();
  });

  test('refuses a database in which it must not make tables, and one of another encoding', async () => {
    const database = await newDatabase();
    await server().query(`create role guest login password 'plain'`);
    await server().query('revoke create on schema public from public', database.database);
    await expect(openPostgresStore({ ...database, user: 'guest', password: 'plain' })).rejects.toMatchObject({
      code: 'system',
      message: expect.stringContaining('must own the database'),
    });
    await server().query(`create database latin template template0 encoding 'LATIN1'`);
    await expect(openPostgresStore({ ...database, database: 'latin' })).rejects.toMatchObject({
      code: 'system',
      message: expect.stringContaining('encoding LATIN1'),
    });
  });

  test('syncs every commit, whatever the default of the database', async () => {
    const database = await newDatabase();
    await server().query(`alter database ${database.database} set synchronous_commit = off`);
    await server().query(`alter database ${database.database} set default_transaction_read_only = on`);
    await server().query(
      `alter database ${database.database} set default_transaction_isolation = 'serializable'`,
    );
    const store = await openPostgresStore(database);
    await expect(insertUser(store)).resolves.toMatchObject({ isAdmin: false });
    expect(await sessionSettings(database)).toEqual({ synchronous_commit: 'on' });
    await store.close();
  });
});

/** What a session with the store's own options has. */
async function sessionSettings(options: PostgresOptions): Promise<unknown> {
  const connections = openConnections(options);
  const { rows } = await connections.read({ sql: 'show synchronous_commit' });
  await connections.close();
  return rows[0];
}

describe('errors', () => {
  const SECRET = 'very-Secret_1';

  test.each([
    ['a wrong password', { password: SECRET }, 'refuses Drivebay'],
    ['no such database', { database: 'nowhere' }, 'refuses Drivebay'],
    ['nobody at the port', { port: 1, password: SECRET }, 'cannot be reached'],
    ['no such host', { host: 'nowhere.invalid', password: SECRET }, 'cannot be reached'],
    ['no such socket', { host: '/nowhere', password: SECRET }, 'cannot be reached'],
  ])('%s is system, says where, and never the password', async (_what, change, sentence) => {
    const options = { ...(await newDatabase()), ...change };
    const error: unknown = await openPostgresStore(options).catch((caught: unknown) => caught);
    expect(error).toMatchObject({ code: 'system', message: expect.stringContaining(sentence) });
    expect(everythingOf(error)).toContain(options.database);
    expect(everythingOf(error)).not.toContain(options.password);
  });

  test('of a statement say nothing of the rows', async () => {
    const store = await openPostgresStore(await newDatabase());
    const user = await insertUser(store);
    const drive = sampleDrive(user.userId);
    const keys = sampleKeys(0x41);
    await store.transaction((tx) => tx.drives.insert(drive, keys));
    const twice = store.transaction(async (tx) => tx.users.insert(user, SAMPLE_HASH));
    const error: unknown = await twice.catch((caught: unknown) => caught);
    expect(error).toMatchObject({ name: 'PostgresError', sqlstate: '23505' });
    expect(everythingOf(error)).not.toContain(user.userId);
    await store.close();
  });

  test('a refused statement ends its transaction, also when the work carries on, and changes nothing', async () => {
    const store = await openPostgresStore(await newDatabase());
    const user = await insertUser(store);
    const stubborn = store.transaction(async (tx) => {
      await tx.settings.set('half', '1');
      await expect(tx.users.insert(user, SAMPLE_HASH)).rejects.toMatchObject({ sqlstate: '23505' });
    });
    await expect(stubborn).rejects.toMatchObject({ sqlstate: '23505' });
    expect(await store.transaction((tx) => tx.settings.get('half'))).toBeNull();
    await store.close();
  });
});
