import { statSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { adminInfo, poolsOf, startWithPools, untilMoved, volumeFile } from '../helpers/pool-server.ts';
import { noise } from '../helpers/sample-bytes.ts';
import { scratchDirectory } from '../helpers/server-process.ts';
import type { ServerProcess } from '../helpers/server-process.ts';

const MIB = 2 ** 20;
const POLL = { timeout: 30_000, interval: 50 };

let base: string;
let server: ServerProcess;

beforeAll(async () => {
  base = await scratchDirectory();
  server = await startWithPools(base, [
    { name: 'one', domain: 'a' },
    { name: 'two', domain: 'b' },
    { name: 'also-two', domain: 'b' },
    { name: 'away', domain: 'c' },
    { name: 'full', domain: 'd', reserve: '900T' },
    { name: 'fast', domain: 'e', tier: 'ssd' },
  ]);
});

afterAll(async () => {
  await server[Symbol.asyncDispose]();
  await rm(base, { recursive: true });
});

/** What a move is answered: the status, and the sentence of a refusal. */
async function move(drive: string, pool: string): Promise<string> {
  const answer = await server.post(`/admin/drives/${drive}/move`, `pool ${pool}`);
  return answer.status === 200 ? '200' : `${answer.status} ${answer.text.trim()}`;
}

/** A new drive that lies in this pool. */
async function createIn(pool: string, pairs = 'size 1M\nencryption:cipher none'): Promise<string> {
  const drive = await server.create(pairs);
  expect(await move(drive, pool)).toBe('200');
  await untilMoved(server, base, drive, pool);
  return drive;
}

test('a move that cannot be is refused, says why, and changes nothing', async () => {
  const drive = await createIn('one');
  expect(await move(drive, 'three')).toBe('404 Pool three could not be found.');
  expect(await move('00000000-0000-4000-8000-000000000000', 'two')).toMatch(/^404 Drive /);
  expect(await move(drive, 'full')).toMatch(/^507 .* pool full has room for 0\.$/);
  expect(await move(drive, 'fast')).toMatch(
    /^507 Pool fast is of tier ssd, .* move it with the other tier\.$/,
  );
  expect((await server.post(`/admin/drives/${drive}/move`, '')).status).toBe(400);
  const user = (await server.json('/admin/users/create', 'name bob')) as Record<string, string>;
  const stranger = server.as(`${user['user']}:${user['key']}`);
  expect((await stranger.post(`/admin/drives/${drive}/move`, 'pool two')).status).toBe(404);
  expect((await stranger.post(`/admin/drives/${drive}/move/cancel`)).status).toBe(404);
  expect(poolsOf(base, drive)).toEqual(['one']);
  expect(await adminInfo(server, drive)).not.toHaveProperty('moving:to');
});

test('a drive that its pool cannot read is refused as one whose pool is away, not as a mistake of the server', async () => {
  const drive = await createIn('one');
  await rm(volumeFile(base, 'one', drive));
  expect(await move(drive, 'two')).toMatch(/^503 Pool one cannot be used at present \(ENOENT\)/);
});

test('a drive that is where it is to be is left alone, and so is one whose move is cancelled afterwards', async () => {
  const drive = await createIn('one');
  expect(await move(drive, 'one')).toBe('200');
  expect((await server.post(`/admin/drives/${drive}/move/cancel`)).status).toBe(200);
  expect(await adminInfo(server, drive)).toMatchObject({ pool: 'one' });
  expect(await server.info(drive)).not.toHaveProperty('pool');
});

test('a drive moves to a pool of another tier when it is to be of that tier', async () => {
  const drive = await createIn('one');
  expect((await server.post(`/admin/drives/${drive}/move`, 'pool fast\ntier ssd')).status).toBe(200);
  await untilMoved(server, base, drive, 'fast');
  expect(await server.info(drive)).toMatchObject({ tier: 'ssd' });
  expect(await move(drive, 'two')).toBe('200');
  await untilMoved(server, base, drive, 'two');
  expect(await server.info(drive)).toMatchObject({ tier: 'ssd' });
});

test('drives that avoid each other never meet in a failure domain, also on their way', async () => {
  const first = await createIn('one');
  const second = await server.create(`size 1M\navoid ${first}\nencryption:cipher none`);
  expect(await move(second, 'two')).toBe('200');
  await untilMoved(server, base, second, 'two');
  for (const pool of ['two', 'also-two']) {
    expect(await move(first, pool)).toMatch(new RegExp(`^507 .*drive ${second} is in b`));
  }
  expect(await move(second, 'one')).toMatch(new RegExp(`^507 .*drive ${first} is in a`));
  expect(await move(second, 'also-two')).toBe('200');
  await untilMoved(server, base, second, 'also-two');
  expect((await server.post(`/drives/${second}/destroy`)).status).toBe(204);
  expect(await move(first, 'two')).toBe('200');
  // From the moment of the answer it counts in both places.
  const third = await server.create(`size 1M\navoid ${first}\nencryption:cipher none`);
  expect(await adminInfo(server, third)).toMatchObject({ pool: 'away' });
  await untilMoved(server, base, first, 'two');
});

test.each(['none', 'aes-xts-plain'])(
  'holes stay holes, and nothing else changes (cipher %s)',
  async (cipher) => {
    const drive = await createIn('one', `size 5G\nname sparse\nencryption:cipher ${cipher}`);
    const data = noise('sparse', 300_000);
    for (const at of [0, 3 * MIB + 17, 2 ** 32]) await server.write(`${drive}/${at}`, data);
    const blocks = statSync(volumeFile(base, 'one', drive)).blocks;
    expect(await move(drive, 'two')).toBe('200');
    await untilMoved(server, base, drive, 'two');
    const moved = statSync(volumeFile(base, 'two', drive));
    expect(moved.blocks).toBeLessThanOrEqual(blocks + 64);
    for (const at of [0, 3 * MIB + 17, 2 ** 32]) {
      expect((await server.read(drive, at, data.length)).equals(data)).toBe(true);
    }
    expect(await adminInfo(server, drive)).toMatchObject({ name: 'sparse', size: 5 * 2 ** 30, pool: 'two' });
  },
);

test('a drive that is destroyed on its way leaves nothing in either pool', async () => {
  for (let round = 0; round < 3; round += 1) {
    const drive = await createIn('one', 'size 32M');
    await server.write(drive, noise(`round ${round}`, 16 * MIB));
    expect(await move(drive, 'two')).toBe('200');
    expect((await server.post(`/drives/${drive}/destroy`)).status).toBe(204);
    await expect.poll(() => poolsOf(base, drive), POLL).toEqual([]);
  }
});
