import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { readRbdImage } from '../../src/cli/attach/rbd-image.ts';
import { rbdQemuArguments } from '../../src/cli/attach/rbd-qemu.ts';
import { ALL_USERS } from '../../src/core/uuid.ts';
import type { Info } from '../helpers/drive-client.ts';
import { connectNbd, NbdGone } from '../helpers/nbd-client.ts';
import { adminInfo, poolsOf } from '../helpers/pool-server.ts';
import { noise } from '../helpers/sample-bytes.ts';
import type { ServerProcess } from '../helpers/server-process.ts';
import { claimDrive, startCephNodes } from './ceph-nodes.ts';
import type { CephNodes } from './ceph-nodes.ts';
import { openQemuIo } from './qemu-io.ts';
import { testCluster } from './scratch-rbd.ts';

// Drives that leave what two nodes share: to a machine that reaches them in Ceph itself, and to a directory of the first node.

const MIB = 1024 * 1024;
const CEPH_POOL = 'leaving';
const MOVED = { timeout: 90_000, interval: 100 };
const BLOCK = Buffer.alloc(4096, 1);

let nodes: CephNodes;
let a: ServerProcess;
let b: ServerProcess;

beforeAll(async () => {
  nodes = await startCephNodes(CEPH_POOL);
  a = await nodes.start('a', { ownPool: 'files' });
  b = await nodes.start('b');
});

afterAll(async () => await nodes[Symbol.asyncDispose]());

test('a machine that uses a drive in Ceph is kept out by a takeover through another node, and no node is', async () => {
  const [drive, other] = [await a.create('size 8M\nencryption:cipher none'), await a.create('size 8M')];
  using connection = await connectNbd(await claimDrive(a, other));
  // Both have the image open.
  for (const node of [a, b]) expect((await node.write(drive, BLOCK)).status).toBe(204);
  const answer = await a.json(`/drives/${drive}/claim`, `server ${randomUUID()}\nprotocol rbd`);
  const image = readRbdImage(answer as Info, { user: CEPH_POOL, secretFile: null });
  if (image === null) throw new Error('The answer names no image.');
  const { blockdev } = rbdQemuArguments({ driveId: drive, isReadOnly: false, image });
  await using guest = await openQemuIo({ blockdev, conf: testCluster().confPath });
  expect(await guest.write(2, 0, MIB)).toBe(true);
  using taken = await connectNbd(await claimDrive(b, drive, 'takeover true'));
  expect(await guest.write(3, 0, MIB)).toBe(false);
  expect((await taken.read(0, MIB)).equals(Buffer.alloc(MIB, 2))).toBe(true);
  await connection.write(0, BLOCK);
  expect((await a.read(drive, 0, MIB)).equals(Buffer.alloc(MIB, 2))).toBe(true);
});

test('a drive moves out of Ceph into a directory of one node, which alone changes it from then on, and back', async () => {
  const sizeBytes = 24 * MIB;
  const drive = await a.create(
    `size ${sizeBytes}\nencryption:cipher none\nclaim:type shared\nreaders ${ALL_USERS}`,
  );
  const expected = noise('before', sizeBytes);
  expect((await b.write(drive, expected)).status).toBe(204);
  using old = await connectNbd(await claimDrive(b, drive));
  const change = async (client: { write(at: number, bytes: Buffer): Promise<unknown> }, at: number) => {
    const bytes = noise(`at ${at}`, 70_000);
    await client.write(at, bytes);
    expected.set(bytes, at);
  };
  await change(old, 1001);
  // The move waits at its end until an imaging from the drive is done.
  const target = await a.create('size 64M');
  expect((await b.post(`/drives/${target}/image/${drive}/gzip`)).status).toBe(204);
  expect((await a.post(`/admin/drives/${drive}/move`, 'pool files\ntier ssd')).status).toBe(200);
  const written = async (): Promise<number> => (await b.write(drive, BLOCK)).status;
  let at = 2 * MIB;
  const cut = async (): Promise<void> => {
    for (; ; at = (at + 70_000) % (8 * MIB)) await change(old, at);
  };
  await expect(cut()).rejects.toBeInstanceOf(NbdGone);
  expect(await written()).toBe(503);
  expect((await b.read(drive, 0, MIB)).equals(expected.subarray(0, MIB))).toBe(true);
  expect(await adminInfo(b, drive)).toMatchObject({ pool: 'ceph', 'moving:to': 'files' });
  using late = await connectNbd(await claimDrive(b, drive));
  await expect(late.write(0, BLOCK)).rejects.toBeInstanceOf(NbdGone);
  using next = await connectNbd(await claimDrive(a, drive));
  // What had no answer is sent again, as QEMU does.
  await change(next, at);
  for (at = 8 * MIB; at < 16 * MIB; at += 100_000) await change(next, at);

  const place = async (): Promise<unknown> => (await adminInfo(a, drive))['pool'];
  await expect.poll(place, MOVED).toBe('files');
  await change(next, 17 * MIB);
  expect((await a.read(drive, 0, sizeBytes)).equals(expected)).toBe(true);
  expect(await written()).toBe(503);
  const inCeph = async (): Promise<string> => await testCluster().rbd('ls', CEPH_POOL);
  await expect.poll(inCeph, MOVED).not.toContain(drive);

  expect((await a.post(`/admin/drives/${drive}/move`, 'pool ceph\ntier disk')).status).toBe(200);
  await expect.poll(place, MOVED).toBe('ceph');
  expect((await b.read(drive, 0, sizeBytes)).equals(expected)).toBe(true);
  expect(await written()).toBe(204);
  await change(next, 18 * MIB);
  expected.set(BLOCK, 0);
  expect((await b.read(drive, 0, sizeBytes)).equals(expected)).toBe(true);
});

test('a drive whose move is left in the middle is written again once the move is cancelled through another node', async () => {
  const drive = await a.create('size 64M\nencryption:cipher none');
  const bytes = noise('left', 64 * MIB);
  expect((await b.write(drive, bytes)).status).toBe(204);
  expect((await a.post(`/admin/drives/${drive}/move`, 'pool files\ntier ssd')).status).toBe(200);
  const copies = (): readonly string[] => poolsOf(nodes.scratch, drive);
  await expect.poll(copies, { timeout: 60_000, interval: 5 }).toEqual(['files']);
  await a.stop('SIGKILL');
  const written = async (): Promise<number> => (await b.write(drive, BLOCK)).status;
  expect(await adminInfo(b, drive)).toMatchObject({ pool: 'ceph', 'moving:to': 'files' });
  expect(await written()).toBe(503);
  expect((await b.post(`/admin/drives/${drive}/move/cancel`)).status).toBe(200);
  expect(await written()).toBe(204);
  const begin = Buffer.from(bytes.subarray(0, 4 * MIB));
  begin.set(BLOCK);
  expect((await b.read(drive, 0, 4 * MIB)).equals(begin)).toBe(true);
  a = await nodes.start('a', { ownPool: 'files' });
  await expect.poll(copies).toEqual([]);
  const status = async (): Promise<number> => (await a.get(`/drives/${drive}/read/0/1`)).status;
  await expect.poll(status).toBe(200);
  expect((await a.read(drive, 0, 4 * MIB)).equals(begin)).toBe(true);
});
