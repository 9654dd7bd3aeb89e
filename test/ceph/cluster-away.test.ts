import { afterAll, beforeAll, expect, test } from 'vitest';
import { noise } from '../helpers/sample-bytes.ts';
import { startCephServer } from './ceph-server.ts';
import type { CephServer } from './ceph-server.ts';
import { testCluster } from './scratch-rbd.ts';

const MIB = 2 ** 20;
const OSDS = ['osd.0', 'osd.1', 'osd.2'];
const EVENTUALLY = { timeout: 60_000, interval: 250 };
const cluster = testCluster();
let ceph: CephServer;

beforeAll(async () => {
  ceph = await startCephServer('away');
});
afterAll(async () => {
  for (const daemon of [...OSDS, 'mon.a']) cluster.signal(daemon, 'SIGCONT');
  await ceph[Symbol.asyncDispose]();
});

async function statusOf(call: Promise<{ status: number }>): Promise<number> {
  return (await call).status;
}

test('an OSD that dies and comes back while drives are written loses nothing that was acknowledged', async () => {
  const drive = await ceph.server.create('size 64M\ntier ssd');
  const piece = (at: number): Buffer => noise(`piece ${at}`, MIB);
  const offsets = Array.from({ length: 64 }, (_, index) => index * MIB);
  const left = offsets.values();
  const writer = async (): Promise<void> => {
    for (const at of left) {
      if (at === 16 * MIB) cluster.signal('osd.1', 'SIGKILL');
      expect(await statusOf(ceph.server.write(`${drive}/${at}`, piece(at)))).toBe(204);
    }
  };
  await Promise.all([writer(), writer(), writer()]);
  for (const at of offsets) expect((await ceph.server.read(drive, at, MIB)).equals(piece(at))).toBe(true);
  const osds = async (): Promise<string> => await cluster.ceph('osd', 'stat');
  await expect.poll(osds, EVENTUALLY).toContain('3 up');
});

test('while no OSD answers a pool is inactive, and what was asked of it is done once they do', async () => {
  const drive = await ceph.server.create('size 8M\ntier ssd');
  const file = await ceph.server.create('size 1M\ntier disk');
  for (const osd of OSDS) cluster.signal(osd, 'SIGSTOP');
  const hanging = ceph.server.write(drive, noise('late', MIB));
  await ceph.untilStatus(drive, 'inactive');
  expect(await statusOf(ceph.server.write(drive, noise('refused', MIB)))).toBe(503);
  expect(await statusOf(ceph.server.write(file, noise('elsewhere', MIB)))).toBe(204);
  for (const osd of OSDS) cluster.signal(osd, 'SIGCONT');
  expect(await statusOf(hanging)).toBe(204);
  await ceph.untilStatus(drive, 'active');
  expect((await ceph.server.read(drive, 0, MIB)).equals(noise('late', MIB))).toBe(true);
});

test('a server starts while its cluster is away, says why, and has its drives once it is back', async () => {
  const drive = await ceph.server.create('size 1M\ntier ssd');
  await ceph.server.write(drive, noise('before', MIB));
  await ceph.stop();
  cluster.signal('mon.a', 'SIGSTOP');
  await ceph.start();
  const reasonOf = async (): Promise<string> => {
    const pools = (await ceph.server.json('/admin/pools/info')) as Record<string, string>[];
    return pools.find(({ pool }) => pool === 'ceph')?.['reason'] ?? '';
  };
  await expect.poll(reasonOf, EVENTUALLY).toMatch(/no monitor .* answers .*ceph -s/);
  expect(await statusOf(ceph.server.get(`/drives/${drive}/read/0/1`))).toBe(503);
  cluster.signal('mon.a', 'SIGCONT');
  await ceph.untilStatus(drive, 'active');
  expect((await ceph.server.read(drive, 0, MIB)).equals(noise('before', MIB))).toBe(true);
});
