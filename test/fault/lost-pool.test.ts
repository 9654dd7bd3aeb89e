import { cp, mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { noise } from '../helpers/sample-bytes.ts';
import { scratchDirectory, startServer } from '../helpers/server-process.ts';
import type { ServerProcess, ServerOptions } from '../helpers/server-process.ts';

const MIB = 1024 * 1024;
const STATUS_TIMEOUT_MS = 60_000;

let scratch: string;
let kept: string;
let lost: string;
let away: string;
let options: ServerOptions;
let server: ServerProcess;
let keptDrive: string;
let lostDrive: string;

beforeEach(async () => {
  scratch = await scratchDirectory();
  [kept, lost, away] = ['kept', 'lost', 'away'].map((name) => join(scratch, name)) as [
    string,
    string,
    string,
  ];
  await mkdir(kept);
  await mkdir(lost);
  const pools = [
    `{name: kept, directory: ${kept}, tier: disk}`,
    `{name: lost, directory: ${lost}, tier: ssd}`,
  ];
  const config = `pools:\n${pools.map((pool) => `  - ${pool}\n`).join('')}`;
  options = { dataDirectory: join(scratch, 'data'), config };
  server = await startServer(options);
  keptDrive = await server.create('size 2M\ntier disk');
  lostDrive = await server.create('size 2M\ntier ssd');
  await expectWritten(keptDrive, 'before');
  await expectWritten(lostDrive, 'before');
});

afterEach(async () => {
  await server.stop();
  await rm(scratch, { recursive: true, force: true });
});

describe('a pool that goes away while the server runs', () => {
  test('makes its drives inactive and no others, and comes back by itself', async () => {
    await rename(lost, away);
    await untilStatus('inactive');
    await expectUnusable();
    await rename(away, lost);
    await untilStatus('active');
    expect((await server.read(lostDrive, 0, MIB)).equals(noise('before', MIB))).toBe(true);
    await expectWritten(lostDrive, 'after');
  });

  test('is not looked for in an empty directory in its place', async () => {
    await rename(lost, away);
    await mkdir(lost);
    await untilStatus('inactive');
    await expectUnusable();
    expect(await readdir(lost)).toEqual([]);
    await rm(lost, { recursive: true });
    await rename(away, lost);
    await untilStatus('active');
    expect((await server.read(lostDrive, 0, MIB)).equals(noise('before', MIB))).toBe(true);
  });
});

test('a drive destroyed while its pool is away is gone at once, and its file once the pool is back', async () => {
  const doomed = await server.create('size 1M\ntier ssd');
  const files = async (): Promise<string> => (await readdir(lost, { recursive: true })).join('\n');
  expect(await files()).toContain(doomed);
  await rename(lost, away);
  await untilStatus('inactive');
  expect((await server.post(`/drives/${doomed}/destroy`)).status).toBe(204);
  expect((await server.get(`/drives/${doomed}/info`)).status).toBe(404);
  await rename(away, lost);
  await untilStatus('active');
  await expect.poll(files, { timeout: STATUS_TIMEOUT_MS }).not.toContain(doomed);
  expect(await files()).toContain(lostDrive);
});

describe('a pool that is away when the server starts', () => {
  test('leaves an empty directory in its place empty, and the other pool in use', async () => {
    await server.stop();
    await rename(lost, away);
    await mkdir(lost);
    server = await startServer(options);
    await untilStatus('inactive');
    await expectUnusable();
    expect(await readdir(lost)).toEqual([]);
  });

  test('is not taken from another installation, whose files stay as they are', async () => {
    await server.stop();
    await cp(lost, away, { recursive: true });
    const markPath = join(lost, 'drivebay-pool.json');
    const mark = JSON.parse(await readFile(markPath, 'utf8')) as Readonly<Record<string, unknown>>;
    const foreign = JSON.stringify({ ...mark, installation: '99999999-9999-4999-8999-999999999999' });
    await writeFile(markPath, foreign);
    const before = await readdir(lost, { recursive: true });
    server = await startServer(options);
    await untilStatus('inactive');
    await expectUnusable();
    expect((await readdir(lost, { recursive: true })).toSorted()).toEqual(before.toSorted());
    expect(await readFile(markPath, 'utf8')).toBe(foreign);
    await rm(lost, { recursive: true });
    await rename(away, lost);
    await untilStatus('active');
    expect((await server.read(lostDrive, 0, MIB)).equals(noise('before', MIB))).toBe(true);
  });
});

async function expectUnusable(): Promise<void> {
  const refused = [
    await server.get(`/drives/${lostDrive}/read/0/4096`),
    await server.write(lostDrive, noise('lost', 5000)),
    await server.write(`${lostDrive}/777`, noise('lost', 5000)),
  ];
  for (const answer of refused) {
    expect(answer.status).toBe(503);
    expect(answer.headers['x-elastic-error']).toMatch(/^system\b/);
    expect(Number(answer.headers['retry-after'])).toBeGreaterThan(0);
  }
  expect([503, 507]).toContain((await server.post('/drives/create', 'size 1M\ntier ssd')).status);
  expect((await server.info(keptDrive))['status']).toBe('active');
  await expectWritten(keptDrive, 'meanwhile');
  const made = await server.create('size 1M\ntier disk');
  expect((await server.post(`/drives/${made}/destroy`)).status).toBe(204);
  const listed = (await server.get('/drives/list')).text.trim().split('\n');
  expect(listed.toSorted()).toEqual([keptDrive, lostDrive].toSorted());
}

async function expectWritten(drive: string, seed: string): Promise<void> {
  expect((await server.write(drive, noise(seed, MIB))).status).toBe(204);
  expect((await server.read(drive, 0, MIB)).equals(noise(seed, MIB))).toBe(true);
}

async function untilStatus(status: string): Promise<void> {
  const deadlineMs = performance.now() + STATUS_TIMEOUT_MS;
  while ((await server.info(lostDrive))['status'] !== status) {
    if (performance.now() > deadlineMs) throw new Error(`The drive does not become ${status}.`);
    await sleep(100);
  }
}
