// More OSDs: DRIVEBAY_TEST_KILLS=100 npx vitest run --project ceph-away -t 'one after the other'
// To repeat the choices of a run: DRIVEBAY_TEST_SEED=<the seed that it printed>, with the same command.
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { httpTarget, nbdTarget } from '../fault/block-targets.ts';
import { BLOCK_BYTES, writeBlocks, WrittenBlocks } from '../fault/numbered-blocks.ts';
import type { WriteBlock } from '../fault/numbered-blocks.ts';
import { seededRandom } from '../fault/seeded-random.ts';
import { connectNbd } from '../helpers/nbd-client.ts';
import { noise } from '../helpers/sample-bytes.ts';
import { startCephServer } from './ceph-server.ts';
import type { CephServer } from './ceph-server.ts';
import { testCluster } from './scratch-rbd.ts';

const MIB = 2 ** 20;
const KILLS = Number(process.env['DRIVEBAY_TEST_KILLS'] ?? 3);
const SEED = Number(process.env['DRIVEBAY_TEST_SEED'] ?? Date.now() % 2 ** 31);
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

/** Writes to all of a drive until it is told to stop; answers what is wrong then. */
function startWriting(
  drive: string,
  write: WriteBlock,
): { log: WrittenBlocks; stop: () => Promise<readonly string[]> } {
  const blocks = Array.from({ length: 1024 }, (_, block) => block);
  const log = new WrittenBlocks('writer');
  let isStopped = false;
  const options = { name: 'writer', blocks, lanes: 8, write, log, isStopped: () => isStopped };
  const writing = writeBlocks(options);
  const stop = async (): Promise<readonly string[]> => {
    isStopped = true;
    await writing;
    return log.violations(await ceph.server.read(drive, 0, blocks.length * BLOCK_BYTES));
  };
  return { log, stop };
}

test(
  `${KILLS} OSDs that die and come back one after the other lose nothing that a server or HTTP was acknowledged`,
  { timeout: 120_000 + KILLS * 20_000 },
  async () => {
    const random = seededRandom(SEED);
    const [held, free] = [
      await ceph.server.create('size 4M\ntier ssd'),
      await ceph.server.create('size 4M\ntier ssd'),
    ];
    using target = nbdTarget(await ceph.claim(held));
    const writers = [startWriting(held, target.write), startWriting(free, httpTarget(ceph.server, free))];
    const counts = (): readonly number[] => writers.map(({ log }) => log.count);
    for (let kills = 0; kills < KILLS; kills += 1) {
      await sleep(random.below(1_000));
      cluster.signal(random.pick(OSDS), 'SIGKILL');
      const before = counts();
      // Whatever is written goes to the OSD that was killed as well, sooner or later.
      const isPast = (): boolean => counts().every((count, index) => count > (before[index] ?? 0) + 200);
      await expect.poll(isPast, EVENTUALLY).toBe(true);
      await expect.poll(async () => await cluster.ceph('osd', 'stat'), EVENTUALLY).toContain('3 up');
    }
    const found = (await Promise.all(writers.map((writer) => writer.stop()))).flat();
    const refusals = writers.map(({ log }) => JSON.stringify(Object.fromEntries(log.refusals))).join();
    console.log(
      `DRIVEBAY_TEST_SEED=${SEED}: ${KILLS} OSDs, ${counts().join(' and ')} writes acknowledged, ${refusals}`,
    );
    expect(found).toEqual([]);
    expect(writers[0]?.log.refusals).toEqual(new Map());
  },
);

test('while no OSD answers a pool is inactive, and what was asked of it is done once they do', async () => {
  const drive = await ceph.server.create('size 8M\ntier ssd');
  const file = await ceph.server.create('size 1M\ntier disk');
  using server = await connectNbd(await ceph.claim(await ceph.server.create('size 8M\ntier ssd')));
  await server.write(0, noise('before', MIB));
  for (const osd of OSDS) cluster.signal(osd, 'SIGSTOP');
  const answers = [server.write(0, noise('held up', MIB))];
  const hanging = ceph.server.write(drive, noise('late', MIB));
  await ceph.untilStatus(drive, 'inactive');
  answers.push(server.flush());
  expect(await statusOf(ceph.server.write(drive, noise('refused', MIB)))).toBe(503);
  expect(await statusOf(ceph.server.write(file, noise('elsewhere', MIB)))).toBe(204);
  for (const osd of OSDS) cluster.signal(osd, 'SIGCONT');
  expect(await statusOf(hanging)).toBe(204);
  await Promise.all(answers);
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
