import { existsSync, globSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
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
  let base: string;
  let config: string;
  let bad: string;
  let good: string;
  let counter = 0;

  const start = async (): Promise<ServerProcess> =>
    startServer({ dataDirectory: join(base, 'data'), config });
  const directory = (): string => join(base, 'bad');
  const kept = (): string => join(base, 'bad-elsewhere');

  beforeEach(async () => {
    counter += 1;
    base = join(scratch, `away${counter}`);
    config = poolsConfig(base, [
      { name: 'bad', tier: 'ssd' },
      { name: 'good', tier: 'disk' },
    ]);
    await using server = await start();
    bad = await server.create('size 1M\ntier ssd');
    good = await server.create('size 1M');
    for (const drive of [bad, good]) await server.write(drive, noise(drive, 5000));
  });

  async function expectAway(server: ServerProcess): Promise<void> {
    await expect.poll(async () => (await server.info(bad))['status'], BACK_TIMEOUT).toBe('inactive');
    for (const answer of [
      await server.get(`/drives/${bad}/read/0/1`),
      await server.write(bad, noise('x', 1)),
    ]) {
      expect([answer.status, answer.headers['x-elastic-error']]).toEqual([503, 'system']);
      expect(answer.headers['retry-after']).toMatch(/^\d+$/);
    }
    expect([503, 507]).toContain((await server.post('/drives/create', 'size 1M\ntier ssd')).status);
    expect(await server.info(good)).toMatchObject({ status: 'active' });
    expect((await server.read(good, 0, 5000)).equals(noise(good, 5000))).toBe(true);
    expect((await server.post('/drives/create', 'size 1M')).status).toBe(200);
    expect((await server.get('/drives/info')).text).toContain(bad);
    const pools = (await server.json('/admin/pools/info')) as Record<string, string>[];
    expect(pools.find(({ pool }) => pool === 'bad')).toMatchObject({ status: 'inactive' });
  }

  async function expectBack(server: ServerProcess): Promise<void> {
    await expect.poll(async () => (await server.info(bad))['status'], BACK_TIMEOUT).toBe('active');
    expect((await server.read(bad, 0, 5000)).equals(noise(bad, 5000))).toBe(true);
  }

  test('at start, its directory missing: the log says so, and it is back when the directory is', async () => {
    renameSync(directory(), kept());
    await using server = await start();
    await expectAway(server);
    expect(server.output()).toContain(directory());
    expect(existsSync(directory())).toBe(false);
    renameSync(kept(), directory());
    await expectBack(server);
  });

  test('at start, not mounted: an empty directory is left empty', async () => {
    renameSync(directory(), kept());
    mkdirSync(directory());
    await using server = await start();
    await expectAway(server);
    expect(globSync('**', { cwd: directory() }).filter((name) => name !== '.' && name !== '')).toEqual([]);
  });

  test('at start, with the mark of another installation: the mark is left as it is', async () => {
    const markPath = join(directory(), 'drivebay-pool.json');
    const mark = readFileSync(markPath, 'utf8');
    const { installation } = JSON.parse(mark) as { installation: string };
    const foreign = mark.replace(installation, `00000000-0000-4000-8000-000000000000`);
    writeFileSync(markPath, foreign);
    await using server = await start();
    await expectAway(server);
    expect(readFileSync(markPath, 'utf8')).toBe(foreign);
  });

  test('unmounted while the server runs, and mounted again', async () => {
    await using server = await start();
    await server.read(bad, 0, 1);
    renameSync(directory(), kept());
    mkdirSync(directory());
    await expectAway(server);
    rmSync(directory(), { recursive: true });
    renameSync(kept(), directory());
    await expectBack(server);
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
