import {
  existsSync,
  globSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmdirSync,
  writeFileSync,
} from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { noise } from '../helpers/sample-bytes.ts';
import { scratchDirectory, startRefused, startServer } from '../helpers/server-process.ts';
import type { ServerProcess } from '../helpers/server-process.ts';

const BACK_TIMEOUT = { timeout: 30_000, interval: 100 };

let scratch: string;

beforeAll(async () => {
  scratch = await scratchDirectory();
});

afterAll(async () => {
  await rm(scratch, { recursive: true });
});

interface PoolKeys {
  readonly name: string;
  readonly tier?: string;
  readonly domain?: string;
  readonly reserve?: string;
}

/** A configuration of pools whose directories, new and empty, have their names. */
function poolsConfig(base: string, pools: readonly PoolKeys[]): string {
  const entries = pools.map((pool) => {
    mkdirSync(join(base, pool.name), { recursive: true });
    return { directory: join(base, pool.name), ...pool };
  });
  return JSON.stringify({ pools: entries });
}

async function startWith(
  name: string,
  pools: readonly PoolKeys[],
): Promise<ServerProcess & { base: string }> {
  const base = join(scratch, name);
  const config = poolsConfig(base, pools);
  return { ...(await startServer({ dataDirectory: join(base, 'data'), config })), base };
}

function poolOf(base: string, drive: string): string | undefined {
  const [file] = globSync(`*/drives/*/${drive}.img`, { cwd: base });
  return file?.split('/')[0];
}

describe('placement', () => {
  test('avoid keeps drives in different domains, and says what stands in the way when it cannot', async () => {
    await using server = await startWith('avoid', [
      { name: 'a1', domain: 'rack1/a' },
      { name: 'a2', domain: 'rack1/a' },
      { name: 'b', domain: 'rack2/b' },
    ]);
    const domainOf = (drive: string): string | undefined => poolOf(server.base, drive)?.slice(0, 1);
    for (let round = 0; round < 4; round += 1) {
      const first = await server.create('size 1M');
      const second = await server.create(`size 1M\navoid ${first}`);
      expect([domainOf(first), domainOf(second)].toSorted()).toEqual(['a', 'b']);
      const answer = await server.post('/drives/create', `size 1M\navoid ${first} ${second}`);
      expect([answer.status, answer.headers['x-elastic-error']]).toEqual([507, 'full']);
      expect(answer.text.includes(first) || answer.text.includes(second)).toBe(true);
    }
    const [last = ''] = ((await server.json('/drives/list?limit=1')) as { drive: string }[]).map(
      ({ drive }) => drive,
    );
    const taken = await server.post(
      '/drives/create',
      `size 1M\navoid ${last} ${await server.create(`size 1M\navoid ${last}`)}`,
    );
    expect(taken.text).toMatch(/rack1\/a.*rack2\/b|rack2\/b.*rack1\/a/);
  });

  test('a tier is kept to, and is 507 when no pool has it', async () => {
    await using server = await startWith('tiers', [
      { name: 'slow', tier: 'disk' },
      { name: 'slow2', tier: 'disk' },
      { name: 'fast', tier: 'ssd' },
    ]);
    const fast = await server.create('size 1M\ntier ssd');
    expect(poolOf(server.base, fast)).toBe('fast');
    expect(await server.info(fast)).toMatchObject({ tier: 'ssd' });
    for (let round = 0; round < 3; round += 1) {
      expect(poolOf(server.base, await server.create('size 1M'))).toMatch(/^slow/);
    }
    const answer = await server.post('/drives/create', `size 1M\ntier ssd\navoid ${fast}`);
    expect(answer.status).toBe(507);
    expect(answer.text).toContain(fast);
    const pools = (await server.json('/admin/pools/info')) as Record<string, string>[];
    expect(pools.map(({ pool, tier, status }) => [pool, tier, status])).toEqual(
      expect.arrayContaining([
        ['fast', 'ssd', 'active'],
        ['slow', 'disk', 'active'],
      ]),
    );
  });
});

test('a full pool: nothing new begins, and what is there is read and can be destroyed', async () => {
  const base = join(scratch, 'full');
  const dataDirectory = join(base, 'data');
  const drives: string[] = [];
  {
    await using server = await startServer({ dataDirectory, config: poolsConfig(base, [{ name: 'p' }]) });
    for (const index of [0, 1]) {
      drives.push(await server.create('size 64M'));
      await server.write(String(drives[index]), noise('kept', 5000));
    }
  }
  const config = poolsConfig(base, [{ name: 'p', reserve: '100T' }]);
  await using server = await startServer({ dataDirectory, config });
  const [first, second] = drives.map(String);
  for (const [path, body] of [
    ['/drives/create', 'size 1M'],
    [`/admin/drives/${first}/key/export`, ''],
    [`/drives/${first}/image/${second}`, ''],
  ] as const) {
    const answer = await server.post(path, body);
    expect([path, answer.status, answer.headers['x-elastic-error']]).toEqual([path, 507, 'full']);
  }
  expect((await server.post(`/admin/drives/${first}/key/export`, 'fill false')).status).toBe(200);
  expect((await server.read(String(first), 0, 5000)).equals(noise('kept', 5000))).toBe(true);
  expect((await server.post(`/drives/${first}/destroy`)).status).toBe(204);
});

describe('a pool that is away', () => {
  const NAMES = ['missing', 'unmounted', 'foreign', 'good'];

  interface Away {
    readonly base: string;
    readonly drives: Readonly<Record<string, string>>;
    start(): Promise<ServerProcess>;
  }

  /** A server that was stopped again, with a drive in each of the pools. */
  async function prepare(name: string): Promise<Away> {
    const base = join(scratch, name);
    const config = poolsConfig(
      base,
      NAMES.map((pool) => ({ name: pool })),
    );
    const start = async () => startServer({ dataDirectory: join(base, 'data'), config });
    const drives: Record<string, string> = {};
    await using server = await start();
    while (NAMES.some((pool) => drives[pool] === undefined)) {
      const avoid = Object.values(drives).join(' ');
      const drive = await server.create(`size 1M${avoid && `\navoid ${avoid}`}`);
      drives[poolOf(base, drive) ?? ''] = drive;
      await server.write(drive, noise(drive, 5000));
    }
    return { base, drives, start };
  }

  async function expectAway(server: ServerProcess, drive: string, pool: string): Promise<void> {
    await expect.poll(async () => (await server.info(drive))['status'], BACK_TIMEOUT).toBe('inactive');
    for (const answer of [
      await server.get(`/drives/${drive}/read/0/1`),
      await server.write(drive, noise('x', 1)),
    ]) {
      expect([answer.status, answer.headers['x-elastic-error']]).toEqual([503, 'system']);
      expect(answer.headers['retry-after']).toMatch(/^\d+$/);
    }
    const pools = (await server.json('/admin/pools/info')) as Record<string, string>[];
    expect(pools.find((info) => info['pool'] === pool)).toMatchObject({ status: 'inactive' });
  }

  async function expectActive(server: ServerProcess, drive: string): Promise<void> {
    await expect.poll(async () => (await server.info(drive))['status'], BACK_TIMEOUT).toBe('active');
    expect((await server.read(drive, 0, 5000)).equals(noise(drive, 5000))).toBe(true);
  }

  test('at start, missing, not mounted or another’s: it is not touched, and the rest works', async () => {
    const { base, drives, start } = await prepare('start');
    const { missing = '', unmounted = '', foreign = '', good = '' } = drives;
    for (const pool of ['missing', 'unmounted']) renameSync(join(base, pool), join(base, `${pool}-kept`));
    mkdirSync(join(base, 'unmounted'));
    const markPath = join(base, 'foreign/drivebay-pool.json');
    const { installation } = JSON.parse(readFileSync(markPath, 'utf8')) as { installation: string };
    const mark = readFileSync(markPath, 'utf8').replace(installation, '00000000-0000-4000-8000-000000000000');
    writeFileSync(markPath, mark);

    await using server = await start();
    await expectAway(server, missing, 'missing');
    await expectAway(server, unmounted, 'unmounted');
    await expectAway(server, foreign, 'foreign');
    await expectActive(server, good);
    expect(poolOf(base, await server.create('size 1M'))).toBe('good');
    const answer = await server.post('/drives/create', `size 1M\navoid ${good}`);
    expect([answer.status, answer.text]).toEqual([507, expect.stringContaining(good)]);
    expect((await server.get('/drives/info')).text).toContain(missing);
    for (const pool of ['missing', 'unmounted', 'foreign'])
      await expect.poll(() => server.output()).toContain(join(base, pool));
    expect(existsSync(join(base, 'missing'))).toBe(false);
    expect(readdirSync(join(base, 'unmounted'))).toEqual([]);
    expect(readFileSync(markPath, 'utf8')).toBe(mark);

    renameSync(join(base, 'missing-kept'), join(base, 'missing'));
    await expectActive(server, missing);
  });

  test('unmounted while the server runs, and mounted again', async () => {
    const { base, drives, start } = await prepare('running');
    const { unmounted = '', good = '' } = drives;
    await using server = await start();
    await expectActive(server, unmounted);
    renameSync(join(base, 'unmounted'), join(base, 'kept'));
    mkdirSync(join(base, 'unmounted'));
    await expectAway(server, unmounted, 'unmounted');
    await expectActive(server, good);
    expect(readdirSync(join(base, 'unmounted'))).toEqual([]);
    rmdirSync(join(base, 'unmounted'));
    renameSync(join(base, 'kept'), join(base, 'unmounted'));
    await expectActive(server, unmounted);
  });
});

test('mistakes in the pools of the file are all told at once, and nothing starts', async () => {
  const base = join(scratch, 'mistakes');
  mkdirSync(join(base, 'x'), { recursive: true });
  const config = JSON.stringify({
    pools: [
      { name: 'one', directory: join(base, 'x'), tier: 'tape' },
      { name: 'two', directory: join(base, 'x'), reserve: 'much' },
      { name: 'two', colour: 'red' },
    ],
    listne: '127.0.0.1:1',
  });
  const { exitCode, output } = await startRefused({ dataDirectory: join(base, 'data'), config });
  expect(exitCode).not.toBe(0);
  for (const word of ['tape', 'much', 'colour', 'listne', 'given twice']) expect(output).toContain(word);
  expect(output).not.toMatch(/\n\s+at /);
});
