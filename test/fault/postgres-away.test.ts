import { randomUUID } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { databaseUrl, startScratchPostgres } from '../../src/metadata/postgres/scratch-postgres.ts';
import type { ScratchPostgres } from '../../src/metadata/postgres/scratch-postgres.ts';
import type { Answer } from '../helpers/drive-client.ts';
import { connectNbd } from '../helpers/nbd-client.ts';
import { noise } from '../helpers/sample-bytes.ts';
import { startServer } from '../helpers/server-process.ts';
import type { ServerProcess } from '../helpers/server-process.ts';

// A server goes on while PostgreSQL is stopped under it, and has lost nothing when it is back.

const MIB = 1024 * 1024;
const BLOCK_BYTES = 4096;
/** Long enough for every loop of the server to run into it. */
const AWAY_MS = 6_000;
const BACK_TIMEOUT_MS = 30_000;

let postgres: ScratchPostgres;
let server: ServerProcess;

beforeAll(async () => {
  postgres = await startScratchPostgres();
  const env = { DRIVEBAY_METADATA: databaseUrl(await postgres.createDatabase()) };
  server = await startServer({
    env,
    args: ['--nbd-listen', '127.0.0.1:0', '--metadata-timeout-seconds', '2'],
  });
});

afterAll(async () => {
  await server[Symbol.asyncDispose]();
  await postgres[Symbol.asyncDispose]();
});

async function attach(drive: string): Promise<string> {
  const claim = (await server.json(`/drives/${drive}/claim`, `server ${randomUUID()}\n`)) as Record<
    string,
    string
  >;
  return String(claim['attach:tcp']);
}

/** Until it is ready again, without anybody's doing. */
async function untilReady(): Promise<void> {
  const deadlineMs = performance.now() + BACK_TIMEOUT_MS;
  while ((await server.get('/readyz')).status !== 200) {
    if (performance.now() > deadlineMs)
      throw new Error(`It does not come back:\n${server.output().slice(-4000)}`);
    await sleep(50);
  }
}

/** Reads and writes over NBD until it is told to stop; every answer is checked. */
function startLoad(uri: string): { stop: () => Promise<{ requests: number; bytes: number }> } {
  const load = { isStopping: false };
  const work = (async () => {
    using client = await connectNbd(uri);
    let requests = 0;
    for (let round = 0; !load.isStopping; round += 1) {
      const offset = (round % 256) * BLOCK_BYTES;
      const data = noise(`round ${round}`, BLOCK_BYTES);
      await client.write(offset, data);
      expect((await client.read(offset, BLOCK_BYTES)).equals(data)).toBe(true);
      if (round % 16 === 0) await client.flush();
      requests += 1;
    }
    await client.leave();
    return { requests, bytes: requests * BLOCK_BYTES };
  })();
  work.catch(() => undefined);
  return {
    stop: async () => {
      load.isStopping = true;
      return await work;
    },
  };
}

function refused(answer: Answer): void {
  expect(answer.status).toBe(503);
  expect(Number(answer.headers['retry-after'])).toBeGreaterThan(0);
  expect(answer.headers['x-elastic-error']).toBe('system');
  expect(answer.text).toContain('metadata database');
}

test.each(['fast', 'immediate'] as const)(
  'while PostgreSQL is away (%s) connected servers go on, all else is 503, and afterwards all is well',
  async (mode) => {
    const drive = await server.create(`name load\nsize ${4 * MIB}\n`);
    const other = await server.create(`name other\nsize ${MIB}\n`);
    const load = startLoad(await attach(drive));
    await sleep(500);
    await postgres.stop(mode);
    const awayUntilMs = performance.now() + AWAY_MS;
    while (performance.now() < awayUntilMs) {
      const startedAtMs = performance.now();
      refused(await server.get('/readyz'));
      refused(await server.get('/drives/list'));
      refused(await server.post('/drives/create', `name never\nsize ${MIB}\n`));
      refused(await server.write(`${other}/0`, Buffer.alloc(512)));
      expect(performance.now() - startedAtMs).toBeLessThan(20_000);
      expect((await server.get('/healthz')).status).toBe(200);
      const metrics = await server.get('/metrics');
      expect(metrics.status).toBe(200);
      expect(metrics.text).toMatch(/^drivebay_nbd_connections 1$/m);
      await sleep(200);
    }
    await postgres.start();
    await untilReady();
    const done = await load.stop();
    expect(done.requests).toBeGreaterThan(100);
    await expect
      .poll(async () => (await server.info(drive))['write:bytes'], { timeout: 10_000 })
      .toBe(String(done.bytes));
    expect(await server.info(drive)).toMatchObject({
      'write:requests': String(done.requests),
      'read:requests': String(done.requests),
      'read:bytes': String(done.bytes),
    });
    expect((await server.write(`${other}/0`, Buffer.alloc(512, 1))).status).toBe(204);
    expect(await names()).toEqual(['load', 'other']);
    await server.post(`/drives/${drive}/release`, `server ${await holder(drive)}\n`);
    for (const each of [drive, other])
      expect((await server.post(`/drives/${each}/destroy`)).status).toBe(204);
    expect(await names()).toEqual([]);
  },
);

test('an imaging that is under way while PostgreSQL is away ends well', async () => {
  const source = await server.create(`name source\nsize ${256 * MIB}\n`);
  const target = await server.create(`name target\nsize ${256 * MIB}\n`);
  const piece = noise('piece', 4 * MIB);
  for (let offset = 0; offset < 256; offset += 4) {
    expect((await server.write(`${source}/${offset}M`, piece)).status).toBe(204);
  }
  expect((await server.post(`/drives/${target}/image/${source}`)).status).toBe(204);
  await postgres.stop('immediate');
  await sleep(4_000);
  await postgres.start();
  await untilReady();
  const imaging = async (): Promise<unknown> => (await server.info(target))['imaging'] ?? 'done';
  await expect.poll(imaging, { timeout: 90_000, interval: 200 }).toBe('done');
  expect((await server.info(target))['imaging:error']).toBeUndefined();
  expect((await server.read(target, 252 * MIB, 4 * MIB)).equals(piece)).toBe(true);
});

test('a create that PostgreSQL went away under leaves nothing behind once it is back', async () => {
  for (const drive of await listed()) await server.post(`/drives/${drive}/destroy`);
  for (let round = 0; round < 5; round += 1) {
    const creates = Array.from({ length: 20 }, () =>
      server.post('/drives/create', `name half\nsize ${MIB}\n`),
    );
    await sleep(20 * round);
    await postgres.stop('immediate');
    const answers = await Promise.all(creates);
    expect(answers.map(({ status }) => status).filter((status) => ![200, 503].includes(status))).toEqual([]);
    await postgres.start();
    await untilReady();
    // Some may have been made, though nobody could be told so.
    for (const drive of await listed()) await server.post(`/drives/${drive}/destroy`);
  }
  const left = async (): Promise<unknown> => ({
    rows: await postgres.query('select drive_id, state from drives', 'drivebay1'),
    files: await volumes(),
  });
  await expect.poll(left, { timeout: 20_000 }).toEqual({ rows: [], files: [] });
});

test('nothing that was logged tells the password', () => {
  const said = (words: string): boolean => server.output().includes(words);
  const words = ['the metadata database is away', 'the metadata database is back', 'scratch-Password_1'];
  expect(words.map(said)).toEqual([true, true, false]);
});

async function listed(): Promise<readonly string[]> {
  return (await server.get('/drives/list')).text.split('\n').filter((line) => line !== '');
}

async function volumes(): Promise<readonly string[]> {
  const files = await readdir(join(server.dataDirectory, 'pools/default/drives'), { recursive: true });
  return files.filter((name) => name.endsWith('.img'));
}

async function names(): Promise<readonly unknown[]> {
  const infos = (await server.json('/drives/info')) as unknown;
  const all = (Array.isArray(infos) ? infos : [infos]) as readonly Record<string, unknown>[];
  return all.map((info) => info['name']).sort();
}

async function holder(drive: string): Promise<string> {
  const claims = (await server.json(`/drives/${drive}/claims`)) as unknown;
  const [claim] = (Array.isArray(claims) ? claims : [claims]) as readonly Record<string, string>[];
  return claim?.['server'] ?? '';
}
