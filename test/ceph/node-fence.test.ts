import { beforeAll, expect, test } from 'vitest';
import type { BlockDevice } from '../../src/blockdev/block-device.ts';
import type { OpenPool } from '../../src/blockdev/open-pool.ts';
import { SCRATCH_DRIVE } from '../../src/blockdev/scratch-devices.ts';
import { MIB } from '../../src/core/sizes.ts';
import { connectNbd, NbdGone } from '../helpers/nbd-client.ts';
import { noise } from '../helpers/sample-bytes.ts';
import { startCephServer } from './ceph-server.ts';
import { pollingEvents } from './polling-events.ts';
import { createRbdPlace, openRbdPlace, testCluster } from './scratch-rbd.ts';

const OURS = { poolName: 'main', installationId: 'installation-1', mayCreate: true };
const KEPT_OUT = expect.objectContaining({ code: 'ESHUTDOWN' });
let [first, second]: OpenPool[] = [];

/** The two nodes, connected. */
function nodes(): readonly [OpenPool, OpenPool] {
  if (first === undefined || second === undefined) throw new Error('There are no nodes.');
  return [first, second];
}

beforeAll(async () => {
  const place = await createRbdPlace('fence');
  [first, second] = ['node-1', 'node-2'].map((nodeId) => openRbdPlace({ ...place, nodeId }));
  for (const node of nodes()) {
    const check = node.checkMark(OURS);
    if (!check.ok) throw new Error(check.reason);
  }
});

async function firstByte(device: BlockDevice): Promise<number> {
  const bytes = new Uint8Array(1);
  await device.read(0, bytes);
  return bytes[0] ?? -1;
}

test('a node that is fenced changes nothing any more, and has its drives again once it connects anew', async () => {
  const [lost, other] = nodes();
  using events = pollingEvents();
  await lost.pool.create(SCRATCH_DRIVE, 8 * MIB);
  const opened = await lost.pool.open(SCRATCH_DRIVE, 'read-write');
  const connection = await lost.pool.open(SCRATCH_DRIVE, 'read-write', events);
  await opened.write(0, new Uint8Array(4 * MIB).fill(1));
  await connection.write(4 * MIB, new Uint8Array(MIB).fill(1));

  await other.pool.fence?.('node-1');
  const taken = await other.pool.open(SCRATCH_DRIVE, 'read-write');
  expect(await firstByte(taken)).toBe(1);
  await taken.write(0, new Uint8Array(MIB).fill(2));
  await expect(async () => await opened.write(0, new Uint8Array(MIB).fill(3))).rejects.toEqual(KEPT_OUT);
  await expect(connection.write(0, new Uint8Array(MIB).fill(3))).rejects.toEqual(KEPT_OUT);
  await expect(async () => await opened.read(0, new Uint8Array(MIB))).rejects.toEqual(KEPT_OUT);
  expect(() => lost.pool.create(SCRATCH_DRIVE, 1)).toThrow(KEPT_OUT);
  expect(await firstByte(taken)).toBe(2);

  expect(lost.checkMark({ ...OURS, mayCreate: false })).toEqual({ ok: true, isReopened: true });
  expect(lost.checkMark({ ...OURS, mayCreate: false })).toEqual({ ok: true });
  await expect(connection.write(0, new Uint8Array(MIB).fill(3))).rejects.toEqual(KEPT_OUT);
  await connection.close();
  await opened.close();
  const again = await lost.pool.open(SCRATCH_DRIVE, 'read-write');
  expect(await firstByte(again)).toBe(2);
  await again.write(0, new Uint8Array(1).fill(4));
  expect(await firstByte(taken)).toBe(4);
  await again.close();
  await taken.close();
});

test('a process keeps out what the last one of its node still has under way', async () => {
  const place = await createRbdPlace('lives');
  const [dead, next] = [
    openRbdPlace({ ...place, nodeId: 'node-9' }),
    openRbdPlace({ ...place, nodeId: 'node-9' }),
  ];
  expect(dead.checkMark({ ...OURS, poolName: 'lives' })).toEqual({ ok: true, isReopened: true });
  await dead.pool.create(SCRATCH_DRIVE, MIB);
  const opened = await dead.pool.open(SCRATCH_DRIVE, 'read-write');
  await opened.write(0, new Uint8Array(MIB).fill(1));
  expect(next.checkMark({ ...OURS, poolName: 'lives' })).toEqual({ ok: true, isReopened: true });
  const taken = await next.pool.open(SCRATCH_DRIVE, 'read-write');
  await taken.write(0, new Uint8Array(MIB).fill(2));
  await expect(async () => await opened.write(0, new Uint8Array(MIB).fill(3))).rejects.toEqual(KEPT_OUT);
  expect(await firstByte(taken)).toBe(2);
  await taken.close();
});

test('a node that nobody has heard of has nothing to be kept from', async () => {
  const [, other] = nodes();
  const before = await testCluster().ceph('osd', 'blocklist', 'ls');
  await other.pool.fence?.('node-3');
  expect(await testCluster().ceph('osd', 'blocklist', 'ls')).toBe(before);
});

test('a server that others have fenced cuts its servers off, and goes on by itself', async () => {
  await using ceph = await startCephServer('fenced');
  const cluster = testCluster();
  const drive = await ceph.server.create('size 8M\ntier ssd\nclaim:type shared');
  expect((await ceph.server.write(drive, noise('a', MIB))).status).toBe(204);
  using client = await connectNbd(await ceph.claim(drive));
  await client.write(MIB, noise('b', MIB));
  const inPool = ['--pool', ceph.cephPool];
  const objects = (await cluster.rados(...inPool, 'ls')).split('\n');
  const object = objects.find((name) => name.startsWith('drivebay-node-')) ?? '';
  await cluster.ceph('osd', 'blocklist', 'add', await cluster.rados(...inPool, 'get', object, '-'));

  // Each OSD hears of it a moment later; only who has asked for it may rely on it at once.
  const late = async (): Promise<unknown> =>
    await client.write(2 * MIB, noise('late', MIB)).catch((error: unknown) => error);
  await expect.poll(late).toBeInstanceOf(NbdGone);
  const write = async (): Promise<number> => (await ceph.server.write(`${drive}/3M`, noise('c', MIB))).status;
  await expect.poll(write).toBe(204);
  using again = await connectNbd(await ceph.claim(drive));
  expect((await again.read(MIB, MIB)).equals(noise('b', MIB))).toBe(true);
});
