import { beforeAll, expect, test } from 'vitest';
import type { BlockDevice } from '../../src/blockdev/block-device.ts';
import type { OpenPool } from '../../src/blockdev/open-pool.ts';
import { MAX_CLONE_DEPTH } from '../../src/blockdev/rbd/image-clone.ts';
import { imageName } from '../../src/blockdev/rbd/image-name.ts';
import type { StoragePool } from '../../src/blockdev/storage-pool.ts';
import { MIB } from '../../src/core/sizes.ts';
import { createRbdPlace, openRbdPlace, testCluster } from './scratch-rbd.ts';

// What Ceph makes of clones, and what is left when one is cut short.

const CEPH_POOL = 'clones';
const SOURCE = '11111111-2222-4333-8444-555555555555';
const TARGET = '66666666-7777-4888-9999-aaaaaaaaaaaa';
const SIZE = 16 * MIB;
/** Ceph is asked again and again whether nothing stands in the way any more. */
const SWEPT = { timeout: 60_000, interval: 200 };
let pool: StoragePool;

beforeAll(async () => {
  const opened: OpenPool = openRbdPlace(await createRbdPlace(CEPH_POOL));
  const check = opened.checkMark({ poolName: 'main', installationId: 'i', mayCreate: true });
  if (!check.ok) throw new Error(check.reason);
  ({ pool } = opened);
});

const rbd = async (command: string, ...args: readonly string[]): Promise<string> =>
  await testCluster().rbd(command, ...args);
const place = (volumeName: string): string => `${CEPH_POOL}/${imageName(volumeName)}`;
/** The names of the target's volumes, one after the other. */
const targetName = (index: number): string => `${TARGET}.${String(index).padStart(12, '0')}`;
const objectCount = async (): Promise<number> =>
  (await testCluster().rados('--pool', CEPH_POOL, 'ls'))
    .split('\n')
    .filter((name) => name.startsWith('rbd_data')).length;

async function using<Result>(
  volumeName: string,
  work: (device: BlockDevice) => Promise<Result>,
): Promise<Result> {
  const device = await pool.open(volumeName, 'read-write');
  try {
    return await work(device);
  } finally {
    await device.close();
  }
}

async function write(volumeName: string, offsetBytes: number, bytes: Uint8Array): Promise<void> {
  await using(volumeName, async (device) => await device.write(offsetBytes, bytes));
}

async function firstByteOf(volumeName: string, piece: number): Promise<number> {
  const bytes = new Uint8Array(1);
  await using(volumeName, async (device) => await device.read(piece * MIB, bytes));
  return bytes[0] ?? -1;
}

async function makeSource(): Promise<void> {
  await pool.create(SOURCE, SIZE);
  await write(SOURCE, 0, new Uint8Array(8 * MIB).fill(1));
}

async function clone(source: string, target: string): Promise<string | null> {
  return await pool.clone({ source, target, sizeBytes: SIZE });
}

/** Expects that nothing of any volume is in the pool any more, soon. */
async function expectSwept(): Promise<void> {
  const left = async (): Promise<readonly unknown[]> => {
    await pool.room();
    return [await pool.list(), await rbd('trash', 'ls', CEPH_POOL), await objectCount()];
  };
  await expect.poll(left, SWEPT).toEqual([[], '', 0]);
}

test('a clone takes no space, leaves no snapshot in sight, and needs no newer clients than its cluster', async () => {
  expect(await testCluster().ceph('osd', 'get-require-min-compat-client')).toContain('luminous');
  await makeSource();
  const before = await objectCount();
  expect(await clone(SOURCE, targetName(1))).toBeNull();
  expect(await objectCount()).toBe(before);
  expect(await rbd('snap', 'ls', place(SOURCE))).toBe('');
  await pool.remove(targetName(1));
  // With its last clone the snapshot is gone, too: the source is an image like any other.
  expect(await rbd('snap', 'ls', '--all', place(SOURCE))).toBe('');
  await pool.remove(SOURCE);
  await expectSwept();
});

test('a chain of twenty copies reads no deeper than its limit, and each link is what it was when it was made', async () => {
  await makeSource();
  const refusals: (string | null)[] = [];
  const links = [SOURCE];
  for (let index = 1; index <= 20; index += 1) {
    const [last = '', next] = [links.at(-1), targetName(index)];
    const refusal = await clone(last, next);
    refusals.push(refusal);
    // What imaging does then.
    if (refusal !== null) await copy(last, next);
    await write(next, 8 * MIB, new Uint8Array(1).fill(100 + index));
    links.push(next);
    // Every other source goes before its clones.
    if (index % 2 === 0) await pool.remove(last);
  }
  const copied = refusals.flatMap((refusal, index) => (refusal === null ? [] : [index]));
  expect(copied).toEqual([MAX_CLONE_DEPTH, 2 * MAX_CLONE_DEPTH + 1]);
  for (const [index, name] of links.entries()) {
    if (index % 2 === 1 && index < 20) continue;
    const bytes = await Promise.all([0, 7].map(async (piece) => await firstByteOf(name, piece)));
    expect([...bytes, await firstByteOf(name, 8)]).toEqual([1, 1, index === 0 ? 0 : 100 + index]);
  }
  for (const name of await pool.list()) await pool.remove(name);
  await expectSwept();
});

async function copy(source: string, target: string): Promise<void> {
  const bytes = new Uint8Array(SIZE);
  await using(source, async (device) => await device.read(0, bytes));
  await pool.create(target, SIZE);
  await write(target, 0, bytes);
}

test('a clone that Ceph was told to flatten begins a chain anew', async () => {
  await makeSource();
  expect(await clone(SOURCE, targetName(1))).toBeNull();
  await rbd('image-meta', 'set', place(targetName(1)), 'drivebay-depth', String(MAX_CLONE_DEPTH));
  expect(await clone(targetName(1), targetName(2))).toMatch(/8 deep/);
  await rbd('flatten', '--no-progress', place(targetName(1)));
  expect(await clone(targetName(1), targetName(2))).toBeNull();
  expect(await firstByteOf(targetName(2), 7)).toBe(1);
  for (const name of await pool.list()) await pool.remove(name);
  await expectSwept();
});

test('what a clone that was cut short has left is gone with the next attempt, or with the source', async () => {
  await makeSource();
  const snapshots = async (): Promise<string> => await rbd('snap', 'ls', place(SOURCE));
  // Cut short after the snapshot, and after the clone of it.
  await rbd('snap', 'create', '--no-progress', `${place(SOURCE)}@${imageName(targetName(1))}`);
  await rbd('snap', 'create', '--no-progress', `${place(SOURCE)}@${imageName(targetName(2))}`);
  const v2 = ['--rbd-default-clone-format', '2'];
  await rbd('clone', ...v2, `${place(SOURCE)}@${imageName(targetName(2))}`, place(targetName(2)));
  expect(await clone(SOURCE, targetName(3))).toBeNull();
  expect(await snapshots()).toBe('');
  expect([...(await pool.list())].toSorted()).toEqual([SOURCE, targetName(3)]);
  await rbd('snap', 'create', '--no-progress', `${place(SOURCE)}@${imageName(targetName(4))}`);
  await pool.remove(SOURCE);
  expect(await pool.list()).toEqual([targetName(3)]);
  expect(await firstByteOf(targetName(3), 7)).toBe(1);
  for (const name of await pool.list()) await pool.remove(name);
  await expectSwept();
});

test('snapshots of the operator are left alone', async () => {
  await makeSource();
  await rbd('snap', 'create', '--no-progress', `${place(SOURCE)}@nightly`);
  expect(await clone(SOURCE, targetName(1))).toBeNull();
  expect(await rbd('snap', 'ls', place(SOURCE))).toContain('nightly');
  await rbd('snap', 'rm', '--no-progress', `${place(SOURCE)}@nightly`);
  for (const name of await pool.list()) await pool.remove(name);
  await expectSwept();
});

test('an image that Ceph does not clone is said to be so, and nothing is left', async () => {
  await rbd('create', '--size', '16M', '--image-feature', 'exclusive-lock', place(SOURCE));
  expect(await clone(SOURCE, targetName(1))).toMatch(/Ceph refuses/);
  expect(await pool.list()).toEqual([SOURCE]);
  expect(await rbd('snap', 'ls', '--all', place(SOURCE))).toBe('');
  await pool.remove(SOURCE);
  await expectSwept();
});

test('a large image is out of the list at once, and removed little by little', async () => {
  await pool.create(SOURCE, 2 ** 36);
  await pool.remove(SOURCE);
  expect([await pool.list(), await rbd('trash', 'ls', CEPH_POOL)]).toEqual([
    [],
    expect.stringContaining(SOURCE),
  ]);
  await expectSwept();
});
