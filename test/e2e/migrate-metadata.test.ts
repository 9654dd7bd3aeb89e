import { randomUUID } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { databaseUrl, startScratchPostgres } from '../../src/metadata/postgres/scratch-postgres.ts';
import type { ScratchPostgres } from '../../src/metadata/postgres/scratch-postgres.ts';
import type { PostgresOptions } from '../../src/metadata/postgres/postgres-options.ts';
import { runCommand } from '../helpers/command-run.ts';
import type { CommandResult } from '../helpers/command-run.ts';
import { connectNbd } from '../helpers/nbd-client.ts';
import { noise } from '../helpers/sample-bytes.ts';
import { scratchDirectory, startRefused, startServer } from '../helpers/server-process.ts';
import type { ServerProcess } from '../helpers/server-process.ts';
import { imagingEnd, runImaging } from './imaging-run.ts';

const MIB = 1024 * 1024;
const SQLITE = { DRIVEBAY_METADATA: '' };
const A = randomUUID();

let scratch: string;
let postgres: ScratchPostgres;

beforeAll(async () => {
  scratch = await scratchDirectory();
  postgres = await startScratchPostgres();
});

afterAll(async () => {
  await postgres[Symbol.asyncDispose]();
  await rm(scratch, { recursive: true });
});

async function start(name: string, env: Readonly<Record<string, string>>): Promise<ServerProcess> {
  const listeners = ['--nbd-socket', join(scratch, `${name}.sock`)];
  const args = [...listeners, '--imaging-threads', '1', '--imaging-parallel', '1'];
  return await startServer({ dataDirectory: join(scratch, name), env, args });
}

/** The database is named as an operator would: on the command line, with the password in the environment. */
async function migrate(name: string, target: PostgresOptions, ...args: string[]): Promise<CommandResult> {
  const url = databaseUrl({ ...target, password: null });
  return await runCommand(
    ['migrate-metadata', '--data-dir', join(scratch, name), '--metadata', url, ...args],
    { env: { DRIVEBAY_METADATA_PASSWORD: target.password ?? '' } },
  );
}

interface State {
  /** A user's credentials, USER:KEY. */
  readonly auth: string;
  readonly drive: string;
  readonly plain: string;
  readonly attachUri: string;
}

const IDEMPOTENT = {
  method: 'POST',
  path: '/drives/create',
  body: 'size 1M\ntags a b\nuser:x y\nname n',
  headers: { 'idempotency-key': 'once' },
};

/** Something of everything that is kept. */
async function makeState(server: ServerProcess): Promise<State> {
  const made = await server.json('/admin/users/create', 'name u\nquota:drives 2\nquota:bytes 3M');
  const { user, key } = made as Record<string, string>;
  const auth = `${user}:${key}`;
  const client = server.as(auth);
  const drive = /^drive (.*)$/m.exec((await client.send(IDEMPOTENT)).text)?.[1] ?? '';
  await client.write(`${drive}/7`, noise('encrypted', 50_000));
  await client.read(drive, 0, 1000);
  const plain = await client.create(
    'size 5000\nencryption:cipher none\nreaders ffffffff-ffff-ffff-ffff-ffffffffffff',
  );
  await client.write(plain, noise('plain', 5000));
  await server.json(`/admin/drives/${plain}/limits`, 'iops 500\niops:burst 2000');
  await client.json(`/drives/${drive}/claim`, `server ${randomUUID()}`);
  const claim = await client.json(`/drives/${drive}/claim`, `server ${A}\ntakeover true`);
  const gone = await server.create('size 1M');
  await server.post(`/drives/${gone}/destroy`);
  const bad = await server.create('size 1M');
  await runImaging(server, { source: plain, target: bad, conversion: 'gunzip' });
  return { auth, drive, plain, attachUri: String((claim as Record<string, string>)['attach:unix']) };
}

/** What everybody is told of it. */
async function describeState(server: ServerProcess, { auth, drive }: State): Promise<readonly string[]> {
  const paths = ['/drives/info/full', '/drives/list', `/drives/${drive}/claims`];
  const answers = [
    ...(await Promise.all(paths.map((path) => server.as(auth).get(path)))),
    ...(await Promise.all(['/admin/users/info', '/drives/info/full'].map((path) => server.get(path)))),
  ];
  for (const { status } of answers) expect(status).toBe(200);
  return answers.map(({ text }) => text);
}

test('a server goes on over PostgreSQL with all that it knew over SQLite, and can go back', async () => {
  const target = await postgres.createDatabase();
  const first = await start('data', SQLITE);
  const state = await makeState(first);
  const before = await describeState(first, state);

  const inUse = await migrate('data', target);
  expect(inUse).toMatchObject({ exitCode: 1, stdout: '' });
  expect(inUse.stderr).toContain(`in use by the server with process id ${first.pid}. Stop it`);

  // One imaging is under way and one is queued while the metadata move.
  const source = await first.create('size 16M');
  const data = Buffer.concat(Array.from({ length: 4 }, () => noise('slow', 4 * MIB)));
  await first.write(source, data);
  const targets = [await first.create('size 20M'), await first.create('size 16M')];
  await first.post(`/drives/${targets[0]}/image/${source}/gzip`);
  await first.post(`/drives/${targets[1]}/image/${source}`);
  expect(await first.stop()).toBe(0);

  const moved = await migrate('data', target, '--json');
  expect(moved).toMatchObject({ exitCode: 0, stderr: '' });
  const database = `${target.database} at 127.0.0.1:${target.port}`;
  const rows = { users: 2, drives: 6, claims: 1, idempotency_keys: 1 };
  expect(JSON.parse(moved.stdout)).toMatchObject({ database, rows });

  const refused = await startRefused({ dataDirectory: join(scratch, 'data'), env: SQLITE });
  expect(refused.exitCode).toBe(1);
  expect(refused.output).toContain(`were moved to the PostgreSQL database ${database} on `);
  expect(refused.output).toContain('--undo');

  await using second = await start('data', { DRIVEBAY_METADATA: databaseUrl(target) });
  for (const drive of targets)
    expect(await imagingEnd(second, String(drive))).not.toHaveProperty('imaging:error');
  expect((await second.read(String(targets[1]), 0, 16 * MIB)).equals(data)).toBe(true);
  for (const drive of [source, ...targets]) await second.post(`/drives/${drive}/destroy`);
  expect(await describeState(second, state)).toEqual(before);
  const client = second.as(state.auth);
  expect((await client.send(IDEMPOTENT)).text).toContain(`drive ${state.drive}\n`);
  expect((await client.post('/drives/create', 'size 1')).status).toBe(507);
  expect((await client.read(state.drive, 7, 50_000)).equals(noise('encrypted', 50_000))).toBe(true);
  expect((await client.read(state.plain, 0, 5000)).equals(noise('plain', 5000))).toBe(true);
  {
    using nbd = await connectNbd(state.attachUri);
    expect((await nbd.read(7, 50_000)).equals(noise('encrypted', 50_000))).toBe(true);
    await nbd.leave();
  }
  const next = (await client.json(`/drives/${state.drive}/claim`, `server ${A}`)) as Record<string, string>;
  expect(next['epoch']).toBe('3');
  expect(await second.stop()).toBe(0);

  // The same again finds that it is done; another database would be a second copy.
  expect(await migrate('data', target)).toMatchObject({
    exitCode: 0,
    stdout: expect.stringContaining('had moved everything'),
  });
  expect(await migrate('data', await postgres.createDatabase())).toMatchObject({
    exitCode: 1,
    stderr: expect.stringContaining(`moved to the PostgreSQL database ${database} already`),
  });

  const undone = await runCommand(['migrate-metadata', '--data-dir', join(scratch, 'data'), '--undo']);
  expect(undone).toMatchObject({ exitCode: 0, stdout: expect.stringContaining('with SQLite again') });
  await using third = await start('data', SQLITE);
  expect(await third.as(state.auth).json(`/drives/${state.drive}/claims`)).toMatchObject([{ epoch: '2' }]);
});

test('a move that is killed half-way leaves the database empty, and the server starts as before', async () => {
  const target = await postgres.createDatabase();
  {
    await using server = await start('killed', SQLITE);
    await server.create('name kept\nsize 1M');
  }
  // Somebody makes the last table wait for a lock.
  const { database } = target;
  const waiting = `
    create function wait() returns trigger language plpgsql as $$ begin perform pg_sleep(600); return new; end $$;
    create function watch() returns event_trigger language plpgsql as $$ begin
      if to_regclass('settings') is not null then
        create or replace trigger wait before insert on settings for each row execute function wait();
      end if; end $$;
    create event trigger watch on ddl_command_end when tag in ('CREATE TABLE') execute function watch()`;
  await postgres.query(waiting, database);
  const waits = async (): Promise<unknown> => {
    const sql = `select query from pg_stat_activity where wait_event = 'PgSleep' and datname = '${database}'`;
    return (await postgres.query(sql)).length;
  };
  const killed = new AbortController();
  const url = databaseUrl(target);
  const run = runCommand(['migrate-metadata', '--data-dir', join(scratch, 'killed')], {
    env: { DRIVEBAY_METADATA: url },
    killed: killed.signal,
  });
  await expect.poll(waits, { timeout: 20_000 }).toBe(1);
  killed.abort();
  await run;
  const end = `select pg_terminate_backend(pid) from pg_stat_activity where datname = '${database}'`;
  await postgres.query(end);
  const tables = async (): Promise<unknown> =>
    await postgres.query(`select tablename from pg_tables where schemaname = 'public'`, database);
  await expect.poll(tables, { timeout: 20_000 }).toEqual([]);
  {
    await using server = await start('killed', SQLITE);
    expect((await server.get('/drives/info')).text).toContain('name kept');
  }
  await postgres.query('drop event trigger watch', database);
  expect(await migrate('killed', target)).toMatchObject({
    exitCode: 0,
    stdout: expect.stringMatching(/^Moved to .*: 1 users, 1 drives/),
  });
});

test('what cannot be moved is refused with the reason', async () => {
  const target = await postgres.createDatabase();
  const nowhere = await migrate('nowhere', target);
  expect(nowhere).toMatchObject({ exitCode: 1, stderr: expect.stringContaining('no metadata.sqlite') });
  const unsaid = await runCommand(['migrate-metadata', '--data-dir', scratch]);
  expect(unsaid).toMatchObject({ exitCode: 2, stderr: expect.stringContaining('say where') });
  const told = await runCommand([
    'migrate-metadata',
    '--data-dir',
    scratch,
    '--metadata',
    databaseUrl(target),
  ]);
  expect(told).toMatchObject({ exitCode: 2, stderr: expect.stringContaining('without the password') });
  expect(told.stderr).not.toContain(target.password);
});
