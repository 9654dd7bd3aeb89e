import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { imagingEnd, runImaging } from '../e2e/imaging-run.ts';
import { seededRandom } from '../fault/seeded-random.ts';
import { adminInfo } from '../helpers/pool-server.ts';
import { noise } from '../helpers/sample-bytes.ts';
import { startCephServer } from './ceph-server.ts';
import type { CephServer } from './ceph-server.ts';
import { testCluster } from './scratch-rbd.ts';

// Drives that are copies of others and share their blocks, as their owners see them.

const CEPH_POOL = 'clone-drives';
const MIB = 2 ** 20;
const SEED = Number(process.env['DRIVEBAY_SEED'] ?? Math.floor(Math.random() * 2 ** 32));
/** More of them are a soak, to be run by hand. */
const KILLS = Number(process.env['DRIVEBAY_CLONE_KILLS'] ?? 3);
const SLOWLY = { timeout: 60_000, interval: 100 };
const PLAIN = 'encryption:cipher none';
/** The drives of one test. */
const made: string[] = [];
let ceph: CephServer;

beforeAll(async () => {
  ceph = await startCephServer(CEPH_POOL);
});
afterAll(async () => await ceph[Symbol.asyncDispose]());

async function write(drive: string, offset: number, bytes: Uint8Array): Promise<void> {
  expect((await ceph.server.write(`${drive}/${offset}`, bytes)).status).toBe(204);
}

async function expectContent(drive: string, expected: Buffer): Promise<void> {
  expect((await ceph.server.read(drive, 0, expected.length)).equals(expected)).toBe(true);
}

async function set(drive: string, pairs: string): Promise<void> {
  expect((await ceph.server.post(`/drives/${drive}/set`, pairs)).status).toBe(200);
}

async function images(): Promise<readonly string[]> {
  return (await testCluster().rbd('ls', CEPH_POOL)).split('\n').filter((name) => name !== '');
}

/** Expects that the pool holds these drives' volumes, and soon nothing else, nor what stands in the way of removing them. */
async function expectOnly(drives: readonly string[]): Promise<void> {
  const names = async (): Promise<unknown> => [
    (await images()).map((name) => name.replace(/^drivebay-/, '').replace(/\..*$/, '')).toSorted(),
    await testCluster().rbd('trash', 'ls', CEPH_POOL),
  ];
  await expect.poll(names, SLOWLY).toEqual([drives.toSorted(), '']);
  for (const name of await images())
    expect(await testCluster().rbd('snap', 'ls', `${CEPH_POOL}/${name}`)).toBe('');
}

async function makeDrive(pairs: string): Promise<string> {
  const drive = await ceph.server.create(`${pairs}\ntier ssd`);
  made.push(drive);
  return drive;
}

async function destroy(drive: string): Promise<void> {
  made.splice(made.indexOf(drive), 1);
  expect((await ceph.server.post(`/drives/${drive}/destroy`)).status).toBe(204);
}

afterEach(async () => {
  for (let [drive] = made; drive !== undefined; [drive] = made) await destroy(drive);
  await expectOnly([]);
});

test('a copy is as large as it was made, grows with zeros, moves to another pool and back, and outlives its source', async () => {
  const { server } = ceph;
  const source = await makeDrive(`size 6M\n${PLAIN}`);
  const target = await makeDrive(`size 9M\n${PLAIN}`);
  await write(source, 0, noise('source', 6 * MIB));
  await write(target, 8 * MIB, noise('before', MIB));
  await runImaging(server, { source, target });
  const expected = Buffer.alloc(9 * MIB);
  noise('source', 6 * MIB).copy(expected);
  await expectContent(target, expected);
  const map = (await server.json(`/drives/${target}/map?offset=0&size=9M`)) as Record<string, unknown>[];
  expect(map.map((block) => String(block['zero'] ?? false))).toEqual(['false', 'false', 'true']);
  expect((await images()).some((name) => name.startsWith(`drivebay-${target}.`))).toBe(true);
  await expectOnly([source, target]);

  await set(target, 'size 4M');
  await set(target, 'size 7M');
  const regrown = Buffer.alloc(7 * MIB);
  expected.copy(regrown, 0, 0, 4 * MIB);
  await expectContent(target, regrown);
  await destroy(source);
  for (const [pool, tier] of [
    ['files', 'disk'],
    ['ceph', 'ssd'],
  ]) {
    expect((await server.post(`/admin/drives/${target}/move`, `pool ${pool}\ntier ${tier}`)).status).toBe(
      200,
    );
    await expect.poll(async () => (await adminInfo(server, target))['pool'], SLOWLY).toBe(pool);
    await expectContent(target, regrown);
  }
});

test('drives that are encrypted are copied, since each has its own key', async () => {
  const { server } = ceph;
  const pairs = 'size 2M';
  const [source, target] = [await makeDrive(pairs), await makeDrive(pairs)];
  await write(source, 0, noise('secret', 2 * MIB));
  await runImaging(server, { source, target });
  await expectContent(target, noise('secret', 2 * MIB));
  expect([...(await images())].toSorted()).toEqual(
    [source, target].map((drive) => `drivebay-${drive}`).toSorted(),
  );
});

test('where Ceph does not clone an image it is copied, and the log says why', async () => {
  const { server } = ceph;
  const [source, target] = [await makeDrive(`size 8M\n${PLAIN}`), await makeDrive(`size 8M\n${PLAIN}`)];
  const place = `${CEPH_POOL}/drivebay-${source}`;
  await testCluster().rbd('rm', '--no-progress', place);
  await testCluster().rbd('create', '--size', '8M', '--image-feature', 'exclusive-lock', place);
  await write(source, 0, noise('source', 4 * MIB));
  expect(await runImaging(server, { source, target })).not.toHaveProperty('imaging:error');
  expect(server.output()).toMatch(/Ceph refuses to clone.*imaging copies, since blocks cannot be shared/);
  await expectContent(target, Buffer.concat([noise('source', 4 * MIB), Buffer.alloc(4 * MIB)]));
});

test(`a copy is whole whenever the server is killed meanwhile, and nothing is left of what was begun (seed ${SEED})`, async () => {
  const random = seededRandom(SEED);
  const [source, target] = await Promise.all([0, 1].map(async () => await makeDrive(`size 8M\n${PLAIN}`)));
  if (source === undefined || target === undefined) throw new Error('unreachable');
  for (let round = 0; round < KILLS; round += 1) {
    const content = noise(`${SEED} ${round}`, 4 * MIB);
    await write(source, MIB, content);
    await write(target, 6 * MIB, noise('before', MIB));
    expect((await ceph.server.post(`/drives/${target}/image/${source}`)).status).toBe(204);
    await new Promise((resolve) => {
      setTimeout(resolve, random.below(1500));
    });
    await ceph.restart('SIGKILL');
    expect(await imagingEnd(ceph.server, target)).not.toHaveProperty('imaging:error');
    await expectContent(target, Buffer.concat([Buffer.alloc(MIB), content, Buffer.alloc(3 * MIB)]));
    await expectOnly([source, target]);
  }
}, 600_000);
