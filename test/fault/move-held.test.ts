import { execFileSync } from 'node:child_process';
import { mkdirSync, renameSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { adminInfo, poolsOf, startWithPools, untilMoved } from '../helpers/pool-server.ts';
import { noise } from '../helpers/sample-bytes.ts';
import { scratchDirectory } from '../helpers/server-process.ts';
import type { ServerProcess } from '../helpers/server-process.ts';

const MIB = 2 ** 20;
/** What all users may read can be written to while it is imaged. */
const PUBLIC = 'size 32M\nreaders ffffffff-ffff-ffff-ffff-ffffffffffff';
const POLL = { timeout: 30_000, interval: 50 };

let base: string;
let server: ServerProcess;

beforeAll(async () => {
  if (process.getuid?.() !== 0) throw new Error('This test mounts a small file system: run it as root.');
  base = await scratchDirectory();
  mkdirSync(join(base, 'small'));
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=20m', 'drivebay-test', join(base, 'small')]);
  server = await startWithPools(base, [
    { name: 'one' },
    { name: 'two' },
    { name: 'also-two' },
    { name: 'away' },
    { name: 'small', reserve: '2M' },
  ]);
});

afterAll(async () => {
  await server[Symbol.asyncDispose]();
  execFileSync('umount', [join(base, 'small')]);
  await rm(base, { recursive: true });
});

/** What a move is answered: the status, and the sentence of a refusal. */
async function move(drive: string, pool: string): Promise<string> {
  const answer = await server.post(`/admin/drives/${drive}/move`, `pool ${pool}`);
  return answer.status === 200 ? '200' : `${answer.status} ${answer.text.trim()}`;
}

/** A new drive that lies in this pool. */
async function createIn(pool: string, pairs: string): Promise<string> {
  const drive = await server.create(pairs);
  expect(await move(drive, pool)).toBe('200');
  await untilMoved(server, base, drive, pool);
  return drive;
}

async function untilActive(pool: string, isActive: boolean): Promise<void> {
  await expect
    .poll(async () => {
      const pools = (await server.json('/admin/pools/info')) as Record<string, string>[];
      return pools.find((each) => each['pool'] === pool)?.['status'];
    }, POLL)
    .toBe(isActive ? 'active' : 'inactive');
}

/** The disk that a drive moves to is filled by what is written to the drive meanwhile. */
async function expectFullDisk(drive: string): Promise<void> {
  expect(await move(drive, 'small')).toBe('200');
  await expect.poll(async () => (await adminInfo(server, drive))['moving:progress'], POLL).toBe('99%');
  const more = noise('more', 24 * MIB);
  expect((await server.write(`${drive}/${8 * MIB}`, more)).status).toBe(204);
  await expect
    .poll(async () => [(await adminInfo(server, drive))['moving:error'], poolsOf(base, drive)], POLL)
    .toEqual([expect.stringMatching(/^Pool small (?:has no room left for|ran out of room)/), ['one']]);
  expect(await server.info(drive)).not.toHaveProperty('moving:to');
  expect((await server.read(drive, 8 * MIB, more.length)).equals(more)).toBe(true);
  expect(await move(drive, 'small')).toMatch(/^507 /);
  await server.post(`/admin/drives/${drive}/move/cancel`);
  expect(await adminInfo(server, drive)).not.toHaveProperty('moving:error');
}

test('a moving drive waits for imagings that read it, refuses what would change its size, can be cancelled, and survives a full disk', async () => {
  const content = noise('content', 5 * MIB);
  const drives = [await createIn('one', PUBLIC), await createIn('one', PUBLIC)];
  const copies = [await createIn('away', 'size 32M'), await createIn('away', 'size 32M')];
  const waiting = await createIn('one', 'size 8M');
  for (const drive of [...drives, waiting]) await server.write(drive, content);
  renameSync(join(base, 'away'), join(base, 'gone'));
  await untilActive('away', false);
  expect(await move(waiting, 'away')).toMatch(/^503 /);
  for (const [index, drive] of drives.entries()) {
    expect((await server.post(`/drives/${copies[index]}/image/${drive}`)).status).toBe(204);
    expect(await move(drive, 'two')).toBe('200');
  }
  const [first = '', second = ''] = drives;
  await expect.poll(async () => (await adminInfo(server, first))['moving:progress'], POLL).toBe('99%');
  expect(await server.info(first)).toMatchObject({ 'moving:to': 'two', 'moving:progress': '99%' });
  // Both places are taken, so this one stays in the queue.
  expect(await move(waiting, 'two')).toBe('200');
  expect(await move(waiting, 'also-two')).toMatch(/^409 .*is being moved to pool two/);
  const refused = [
    await server.post(`/drives/${waiting}/set`, 'size 16M'),
    await server.post(`/drives/${waiting}/set`, 'size 4M'),
    await server.post(`/drives/${waiting}/set`, 'tier ssd'),
    await server.post(`/drives/${waiting}/image/${second}`),
  ];
  expect(refused.map(({ status, text }) => [status, text.includes('is being moved to pool two')])).toEqual(
    refused.map(() => [409, true]),
  );
  expect((await server.post(`/drives/${waiting}/set`, 'name renamed')).status).toBe(200);
  expect((await server.post(`/admin/drives/${first}/move/cancel`)).status).toBe(200);
  expect([poolsOf(base, first), await adminInfo(server, first)]).toEqual([
    ['one'],
    expect.not.objectContaining({ 'moving:to': 'two' }),
  ]);
  await untilMoved(server, base, waiting, 'two');
  expect(await adminInfo(server, waiting)).toMatchObject({ name: 'renamed' });
  await expectFullDisk(first);
  renameSync(join(base, 'gone'), join(base, 'away'));
  await untilMoved(server, base, second, 'two');
  for (const drive of [first, second, waiting, ...copies]) {
    await expect.poll(async () => (await server.info(drive))['imaging'], POLL).toBeUndefined();
    expect((await server.read(drive, 0, content.length)).equals(content)).toBe(true);
  }
});
