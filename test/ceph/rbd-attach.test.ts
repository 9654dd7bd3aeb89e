import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { QemuArguments } from '../../src/cli/attach/qemu-arguments.ts';
import { readRbdImage, rbdUri } from '../../src/cli/attach/rbd-image.ts';
import type { RbdImage } from '../../src/cli/attach/rbd-image.ts';
import { rbdQemuArguments } from '../../src/cli/attach/rbd-qemu.ts';
import { runCommand } from '../helpers/command-run.ts';
import type { Info } from '../helpers/drive-client.ts';
import { connectNbd } from '../helpers/nbd-client.ts';
import { noise } from '../helpers/sample-bytes.ts';
import { ADMIN_AUTH } from '../helpers/server-process.ts';
import { startCephServer } from './ceph-server.ts';
import type { CephServer } from './ceph-server.ts';
import { openQemuIo } from './qemu-io.ts';
import type { QemuIo } from './qemu-io.ts';
import { testCluster } from './scratch-rbd.ts';

// Virtual machines that use drives in Ceph past Drivebay, under its claims.

const MIB = 2 ** 20;
const USER = 'machines';
const TAKEOVERS = Number(process.env['DRIVEBAY_TAKEOVERS'] ?? 3);
const LANES = 16;
let ceph: CephServer;
let conf: string;

beforeAll(async () => {
  ceph = await startCephServer('direct');
  const cluster = testCluster();
  await cluster.createUser(USER, ['mon', 'profile rbd', 'osd', `profile rbd pool=${ceph.cephPool}`]);
  conf = cluster.confPath;
});
afterAll(async () => await ceph[Symbol.asyncDispose]());

const plainDrive = async (pairs = ''): Promise<string> =>
  await ceph.server.create(`size 16M\ntier ssd\nencryption:cipher none\n${pairs}`);

/** Claims the drive by rbd for a new server. */
async function claim(drive: string, pairs = ''): Promise<Info> {
  const body = `server ${randomUUID()}\nprotocol rbd\n${pairs}`;
  return (await ceph.server.json(`/drives/${drive}/claim`, body)) as Info;
}

function imageOf(answer: Info): RbdImage {
  const image = readRbdImage(answer, { user: USER, secretFile: null });
  if (image === null) throw new Error('The answer names no image.');
  return image;
}

/** Opens a claimed drive as a virtual machine does. */
async function machine(answer: Info): Promise<QemuIo> {
  const drive = { driveId: String(answer['drive']), isReadOnly: answer['access'] === 'ro' };
  return await openQemuIo({ ...rbdQemuArguments({ ...drive, image: imageOf(answer) }), conf });
}

/** Writes the byte all over the drive, many requests at a time, until one fails; `onWrite` is told of each that does not. */
async function flood(guest: QemuIo, byte: number, onWrite: () => void): Promise<void> {
  for (let at = 0; ; at = (at + LANES) % 256) {
    let answers = '';
    for (let lane = 0; lane < LANES; lane += 1) {
      answers += await guest.run(`aio_write -P ${byte} ${(at + lane) * 65_536} 65536`);
    }
    answers += await guest.run('aio_flush');
    if (answers.includes('failed')) return;
    onWrite();
  }
}

async function release(drive: string, answer: Info): Promise<void> {
  expect((await ceph.server.post(`/drives/${drive}/release`, `server ${answer['server']}`)).status).toBe(204);
}

async function blocklist(): Promise<string> {
  return await testCluster().ceph('osd', 'blocklist', 'ls');
}

describe('a drive that QEMU uses in Ceph', () => {
  test('has what was written by HTTP, and afterwards the same bytes by NBD and HTTP', async () => {
    const drive = await plainDrive();
    expect((await ceph.server.write(`${drive}/1M`, Buffer.alloc(MIB, 7))).status).toBe(204);
    const answer = await claim(drive);
    expect(answer).toMatchObject({ protocol: 'rbd', 'rbd:pool': ceph.cephPool });
    expect(Object.keys(answer).filter((key) => key.startsWith('attach:'))).toEqual([]);
    {
      await using guest = await machine(answer);
      expect(await guest.holds(7, MIB, MIB)).toBe(true);
      expect(await guest.write(8, 5 * MIB, 2 * MIB)).toBe(true);
      expect(await guest.run(`discard ${MIB} ${MIB}`)).toContain('discard 1048576/1048576');
      await guest.quit();
    }
    await release(drive, answer);
    using client = await connectNbd(await ceph.claim(drive));
    const expected = Buffer.alloc(16 * MIB).fill(8, 5 * MIB, 7 * MIB);
    expect((await client.read(0, 16 * MIB)).equals(expected)).toBe(true);
    expect((await ceph.server.read(drive, 0, 16 * MIB)).equals(expected)).toBe(true);
  });

  test('is decrypted by QEMU itself, and what was never written reads as zeros there', async () => {
    const drive = await ceph.server.create('size 16M\ntier ssd');
    expect((await ceph.server.write(`${drive}/1001`, noise('a', 5000))).status).toBe(204);
    const secretFile = join(ceph.scratch, 'secret');
    const server = randomUUID();
    const env = { DRIVEBAY_URL: `http://127.0.0.1:${ceph.server.port}`, DRIVEBAY_AUTH: ADMIN_AUTH };
    const args = ['--rbd', '--server', server, '--ceph-user', USER, '--secret-file', secretFile, '--json'];
    const { stdout, stderr } = await runCommand(['attach', drive, ...args], { env });
    expect(stderr).toBe('');
    const { qemu } = JSON.parse(stdout) as { qemu: QemuArguments };
    {
      await using guest = await openQemuIo({ ...qemu, conf });
      expect(await guest.holds(0, 8192, 16 * MIB - 8192)).toBe(true);
      expect(await guest.write(8, 5 * MIB, 2 * MIB)).toBe(true);
      expect(await guest.run(`write -z ${6 * MIB} ${MIB}`)).toContain('wrote');
      await guest.quit();
    }
    await release(drive, { server });
    const expected = Buffer.alloc(16 * MIB).fill(8, 5 * MIB, 6 * MIB);
    expected.set(noise('a', 5000), 1001);
    expect((await ceph.server.read(drive, 0, 16 * MIB)).equals(expected)).toBe(true);
  });

  test('to read it is not written by QEMU, and not read any more once the claim has ended', async () => {
    const drive = await plainDrive();
    expect((await ceph.server.write(drive, Buffer.alloc(MIB, 7))).status).toBe(204);
    const answer = await claim(drive, 'access ro');
    await using guest = await machine(answer);
    expect(await guest.holds(7, 0, MIB)).toBe(true);
    expect(await guest.write(8, 0, MIB)).toBe(false);
    await release(drive, answer);
    expect(await guest.holds(7, 0, MIB)).toBe(false);
    expect((await ceph.server.read(drive, 0, MIB)).equals(Buffer.alloc(MIB, 7))).toBe(true);
  });

  test('is seen larger once it has grown', async () => {
    const drive = await plainDrive();
    const answer = await claim(drive);
    await using guest = await machine(answer);
    expect(await guest.write(1, 0, MIB)).toBe(true);
    expect((await ceph.server.post(`/drives/${drive}/set`, 'size 32M')).status).toBe(200);
    await expect.poll(async () => await guest.run('truncate 32M')).not.toContain('rror');
    expect(await guest.write(2, 31 * MIB, MIB)).toBe(true);
    await guest.run('flush');
    expect((await ceph.server.read(drive, 31 * MIB, MIB)).equals(Buffer.alloc(MIB, 2))).toBe(true);
    await release(drive, answer);
  });
});

describe('once a claim by rbd has ended', () => {
  test('by a takeover no write of the server before lands, and its image is found no more', async () => {
    const drive = await plainDrive();
    let answer = await claim(drive);
    for (let round = 0; round < TAKEOVERS; round += 1) {
      await using old = await machine(answer);
      const byte = 1 + (round % 100);
      expect(await old.write(byte, 0, 16 * MIB)).toBe(true);
      let wrote = 0;
      const flooded = flood(old, byte, () => {
        wrote += 1;
      });
      await expect.poll(() => wrote).toBeGreaterThan(3);
      const next = await claim(drive, 'takeover true');
      await using taken = await machine(next);
      expect(await taken.write(byte + 100, 0, 16 * MIB)).toBe(true);
      await flooded;
      expect(await old.write(byte, 0, 4096)).toBe(false);
      expect(await taken.holds(byte + 100, 0, 16 * MIB)).toBe(true);
      await expect(machine(answer)).rejects.toThrow('No such file or directory');
      await taken.quit();
      answer = next;
    }
    await release(drive, answer);
  });

  test('by its release its writes fail, Drivebay itself goes on, and the drive can be destroyed', async () => {
    const drive = await plainDrive();
    // Drivebay has it open as well.
    expect((await ceph.server.write(drive, Buffer.alloc(MIB, 1))).status).toBe(204);
    const other = await plainDrive();
    using connection = await connectNbd(await ceph.claim(other));
    await connection.write(0, noise('b', MIB));
    const answer = await claim(drive);
    await using guest = await machine(answer);
    expect(await guest.write(2, 0, MIB)).toBe(true);
    const kept = await blocklist();
    await release(drive, answer);
    expect(await guest.write(3, 0, MIB)).toBe(false);
    expect(await blocklist()).not.toBe(kept);
    expect((await ceph.server.read(drive, 0, MIB)).equals(Buffer.alloc(MIB, 2))).toBe(true);
    expect((await ceph.server.write(drive, Buffer.alloc(MIB, 4))).status).toBe(204);
    await connection.write(MIB, noise('c', MIB));
    const again = await claim(drive);
    await using second = await machine(again);
    expect(await second.holds(4, 0, MIB)).toBe(true);
    await release(drive, again);
    // It has never written, so it is known only for having the image open.
    expect(await second.write(5, 0, MIB)).toBe(false);
    expect((await ceph.server.read(drive, 0, MIB)).equals(Buffer.alloc(MIB, 4))).toBe(true);
    expect((await ceph.server.post(`/drives/${drive}/destroy`)).status).toBe(204);
    const objects = await testCluster().rados('--pool', ceph.cephPool, 'ls');
    expect(objects).not.toContain(drive);
  });

  test('by its lease its writes fail, and HTTP may write', async () => {
    const drive = await plainDrive();
    await using guest = await machine(await claim(drive, 'lease 3'));
    expect(await guest.write(1, 0, MIB)).toBe(true);
    const write = async (): Promise<number> => (await ceph.server.write(drive, Buffer.alloc(MIB, 2))).status;
    expect(await write()).toBe(409);
    await expect.poll(write, { interval: 50 }).toBe(204);
    expect(await guest.write(3, 0, MIB)).toBe(false);
    expect((await ceph.server.read(drive, 0, MIB)).equals(Buffer.alloc(MIB, 2))).toBe(true);
  });

  test('a server that had stopped for longer than Ceph watches it changes nothing when it wakes up', async () => {
    const cluster = testCluster();
    await cluster.ceph('config', 'set', 'osd', 'osd_client_watch_timeout', '8');
    const drive = await plainDrive();
    const answer = await claim(drive);
    await using guest = await machine(answer);
    await cluster.ceph('config', 'rm', 'osd', 'osd_client_watch_timeout');
    expect(await guest.write(1, 0, 16 * MIB)).toBe(true);
    const late = guest.write(2, 0, 16 * MIB);
    process.kill(guest.pid, 'SIGSTOP');
    try {
      const image = rbdUri(imageOf(answer)).replace(/^rbd:|:.*/g, '');
      const watchers = async (): Promise<string> => await cluster.rbd('status', image);
      await expect
        .poll(async () => (await watchers()).includes('Watchers: none'), { timeout: 60_000 })
        .toBe(true);
      await release(drive, answer);
      expect((await ceph.server.write(drive, Buffer.alloc(16 * MIB, 3))).status).toBe(204);
    } finally {
      process.kill(guest.pid, 'SIGCONT');
    }
    expect(await late).toBe(false);
    expect((await ceph.server.read(drive, 0, 4 * MIB)).equals(Buffer.alloc(4 * MIB, 3))).toBe(true);
  });
});

test('under a claim by rbd neither is the drive moved nor an encrypted one made larger or filled', async () => {
  const drive = await ceph.server.create('size 8M\ntier ssd');
  const answer = await claim(drive);
  const statusOf = async (path: string, body: string): Promise<number> =>
    (await ceph.server.post(path, body)).status;
  expect(await statusOf(`/admin/drives/${drive}/move`, 'pool files\ntier disk')).toBe(409);
  expect(await statusOf(`/drives/${drive}/set`, 'size 16M')).toBe(409);
  expect(await statusOf(`/admin/drives/${drive}/key/export`, 'fill true')).toBe(409);
  await release(drive, answer);
  expect(await statusOf(`/drives/${drive}/set`, 'size 16M')).toBe(200);
});
