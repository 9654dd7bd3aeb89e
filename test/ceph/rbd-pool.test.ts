import { beforeAll, expect, test } from 'vitest';
import { describeBlockDevice } from '../../src/blockdev/describe-block-device.ts';
import { describeStoragePool } from '../../src/blockdev/describe-storage-pool.ts';
import type { ScratchPool } from '../../src/blockdev/describe-storage-pool.ts';
import type { OpenPool } from '../../src/blockdev/open-pool.ts';
import { imageName } from '../../src/blockdev/rbd/image-name.ts';
import { SCRATCH_DRIVE, scratchDevice } from '../../src/blockdev/scratch-devices.ts';
import { MIB } from '../../src/core/sizes.ts';
import { createRbdPlace, openRbdPlace, testCluster } from './scratch-rbd.ts';

const CEPH_POOL = 'contracts';
const OURS = { poolName: 'main', installationId: 'installation-1', mayCreate: true };
let place: Awaited<ReturnType<typeof createRbdPlace>>;
let opened: OpenPool;

beforeAll(async () => {
  place = await createRbdPlace(CEPH_POOL);
  opened = openRbdPlace(place);
  const check = opened.checkMark(OURS);
  if (!check.ok) throw new Error(check.reason);
});

/** The one pool, emptied after each test. */
async function scratchRbdPool(): Promise<ScratchPool> {
  const { pool } = opened;
  return {
    pool,
    async dispose() {
      for (const driveId of await pool.list()) await pool.remove(driveId);
    },
  };
}

describeStoragePool('an RBD pool', scratchRbdPool);

describeBlockDevice('an RBD image', {
  unitBytes: 701,
  open: async (sizeBytes) => await scratchDevice(await scratchRbdPool(), sizeBytes),
});

test('space is taken by what is written, and given back by zeroing, discarding and removing', async () => {
  const { pool } = opened;
  await pool.create(SCRATCH_DRIVE, 100 * MIB);
  const device = await pool.open(SCRATCH_DRIVE, 'read-write');
  const info = await testCluster().rbd(
    'info',
    '--format',
    'json',
    `${CEPH_POOL}/${imageName(SCRATCH_DRIVE)}`,
  );
  const { block_name_prefix: prefix } = JSON.parse(info) as { block_name_prefix: string };
  const objects = async (): Promise<number> => {
    const all = await testCluster().rados('--pool', CEPH_POOL, 'ls');
    return all.split('\n').filter((name) => name.startsWith(prefix)).length;
  };
  expect(await objects()).toBe(0);
  for (const at of [8, 40, 80]) await device.write(at * MIB, new Uint8Array(4 * MIB).fill(1));
  expect(await objects()).toBe(3);
  await device.zero({ offsetBytes: 8 * MIB, lengthBytes: 20 * MIB });
  await device.discard({ offsetBytes: 40 * MIB, lengthBytes: 4 * MIB });
  expect(await objects()).toBe(1);
  const range = { offsetBytes: 0, lengthBytes: 100 * MIB };
  expect(await device.extents(range)).toEqual([
    { offsetBytes: 0, lengthBytes: 80 * MIB, kind: 'zero' },
    { offsetBytes: 80 * MIB, lengthBytes: 4 * MIB, kind: 'data' },
    { offsetBytes: 84 * MIB, lengthBytes: 16 * MIB, kind: 'zero' },
  ]);
  await device.close();
  await pool.remove(SCRATCH_DRIVE);
  expect(await objects()).toBe(0);
});

test('a namespace is a pool of its own', async () => {
  await testCluster().rbd('namespace', 'create', `${CEPH_POOL}/apart`);
  const apart = openRbdPlace({ ...place, namespace: 'apart' });
  expect(apart.checkMark({ ...OURS, mayCreate: false })).toMatchObject({ ok: false });
  expect(apart.checkMark({ ...OURS, poolName: 'apart' })).toMatchObject({ ok: true });
  await apart.pool.create(SCRATCH_DRIVE, MIB);
  expect(await apart.pool.list()).toEqual([SCRATCH_DRIVE]);
  expect(await opened.pool.list()).toEqual([]);
});

test('why a pool cannot be used is said with what to do', () => {
  const reasonOf = (change: Partial<typeof place>): string => {
    const check = openRbdPlace({ ...place, ...change }).checkMark(OURS);
    return check.ok ? '' : check.reason;
  };
  expect(reasonOf({ cephPool: 'nowhere' })).toMatch(/no pool nowhere.*ceph osd pool create nowhere/);
  expect(reasonOf({ user: 'nobody' })).toMatch(/does not accept user client.nobody.*ceph auth get/);
  expect(reasonOf({ confFile: '/nowhere/ceph.conf' })).toMatch(/\/nowhere\/ceph.conf cannot be used/);
});

test('the rights of its user end with its pool', async () => {
  await testCluster().ceph('osd', 'pool', 'create', 'foreign', '1', '1');
  const foreign = openRbdPlace({ ...place, cephPool: 'foreign' });
  expect(() => foreign.checkMark(OURS)).toThrow(expect.objectContaining({ code: 'EPERM' }));
});

test('an image in the trash that cannot be removed keeps nobody from the pool', async () => {
  const { pool } = opened;
  const inPool = ['--pool', CEPH_POOL];
  await pool.create(SCRATCH_DRIVE, MIB);
  await testCluster().rbd('trash', 'move', `${CEPH_POOL}/${imageName(SCRATCH_DRIVE)}`);
  const list = await testCluster().rbd('trash', 'list', '--format', 'json', CEPH_POOL);
  const [image] = JSON.parse(list) as readonly { id: string }[];
  await testCluster().rados(...inPool, 'setomapval', `rbd_header.${image?.id}`, 'features', '?');
  expect(await pool.room()).toMatchObject({ freeBytes: expect.any(Number) });
});

test('a pool that has reached its quota refuses data with EDQUOT', async () => {
  const { pool } = opened;
  await pool.create(SCRATCH_DRIVE, 1024 * MIB);
  const device = await pool.open(SCRATCH_DRIVE, 'read-write');
  await testCluster().ceph('osd', 'pool', 'set-quota', CEPH_POOL, 'max_bytes', String(MIB));
  let at = 0;
  const write = async (): Promise<unknown> => {
    try {
      await device.write(at, new Uint8Array(4 * MIB).fill(1));
      at += 4 * MIB;
      return null;
    } catch (error) {
      return error;
    }
  };
  await expect.poll(write, { timeout: 60_000 }).toEqual(expect.objectContaining({ code: 'EDQUOT' }));
  expect(await pool.room()).toMatchObject({ freeBytes: 0 });
  await device.close();
  await pool.remove(SCRATCH_DRIVE);
});
