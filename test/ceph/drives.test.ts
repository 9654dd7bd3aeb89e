import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { runImaging } from '../e2e/imaging-run.ts';
import { connectNbd } from '../helpers/nbd-client.ts';
import { noise } from '../helpers/sample-bytes.ts';
import { startCephServer } from './ceph-server.ts';
import type { CephServer } from './ceph-server.ts';
import { testCluster } from './scratch-rbd.ts';

const MIB = 2 ** 20;
const CIPHERS = ['aes-xts-plain', 'none'];
let ceph: CephServer;

beforeAll(async () => {
  ceph = await startCephServer('drives');
});
afterAll(async () => await ceph[Symbol.asyncDispose]());

const cephDrive = async (pairs: string): Promise<string> => await ceph.server.create(`${pairs}\ntier ssd`);

async function write(drive: string, offset: number, bytes: Uint8Array): Promise<void> {
  expect((await ceph.server.write(`${drive}/${offset}`, bytes)).status).toBe(204);
}

/** Expects these bytes at their offsets, and zeros everywhere else. */
async function expectBytes(
  drive: string,
  sizeBytes: number,
  parts: Readonly<Record<number, Uint8Array>>,
): Promise<void> {
  const expected = Buffer.alloc(sizeBytes);
  for (const [offset, bytes] of Object.entries(parts)) expected.set(bytes, Number(offset));
  expect((await ceph.server.read(drive, 0, sizeBytes)).equals(expected)).toBe(true);
}

async function images(): Promise<string> {
  return await testCluster().rbd('ls', ceph.cephPool);
}

describe.each(CIPHERS)('a drive with cipher %s', (cipher) => {
  const pairs = `encryption:cipher ${cipher}`;

  test('is read as it was written, aligned or not, by HTTP and by NBD', async () => {
    const sizeBytes = 12 * MIB + 777;
    const drive = await cephDrive(`size ${sizeBytes}\nclaim:type shared\n${pairs}`);
    expect(await images()).toContain(drive);
    const parts = {
      1001: noise('a', 70_001),
      [4 * MIB]: noise('b', 4 * MIB),
      [sizeBytes - 99]: noise('c', 99),
    };
    for (const [offset, bytes] of Object.entries(parts)) await write(drive, Number(offset), bytes);
    await expectBytes(drive, sizeBytes, parts);
    using client = await connectNbd(await ceph.claim(drive));
    expect((await client.read(1001, 70_001)).equals(parts[1001])).toBe(true);
    await client.write(9 * MIB + 5, noise('d', 5000));
    await client.flush();
    await client.write(10 * MIB, noise('e', MIB));
    expect(
      await client.ask({ command: 'WRITE_ZEROES', offsetBytes: 4 * MIB, lengthBytes: MIB }),
    ).toMatchObject({
      error: 0,
    });
    await expectBytes(drive, sizeBytes, {
      ...parts,
      [4 * MIB]: Buffer.from(noise('b', 4 * MIB)).fill(0, 0, MIB),
      [9 * MIB + 5]: noise('d', 5000),
      [10 * MIB]: noise('e', MIB),
    });
  });

  test('many requests of one NBD client at a time lose nothing, though they meet in sectors', async () => {
    const drive = await cephDrive(`size 4M\n${pairs}`);
    using client = await connectNbd(await ceph.claim(drive));
    const pieces = Array.from({ length: 100 }, (_, index) => noise(`piece ${index}`, 3001));
    await Promise.all(pieces.map(async (piece, index) => await client.write(77 + index * 3001, piece)));
    const read = await Promise.all(
      pieces.map(async (_, index) => await client.read(77 + index * 3001, 3001)),
    );
    expect(read.every((bytes, index) => bytes.equals(pieces[index] ?? Buffer.of()))).toBe(true);
    await client.flush();
    await client.leave();
    await expectBytes(drive, 4 * MIB, { 77: Buffer.concat(pieces) });
  });

  test('grows and shrinks, and what was cut off never comes back', async () => {
    const drive = await cephDrive(`size 5M\n${pairs}`);
    await write(drive, 0, noise('a', 5 * MIB));
    await ceph.server.post(`/drives/${drive}/set`, 'size 1000001');
    await ceph.server.post(`/drives/${drive}/set`, 'size 9M');
    await expectBytes(drive, 9 * MIB, { 0: noise('a', 5 * MIB).subarray(0, 1_000_001) });
  });

  test('is imaged to and from a drive in a directory, and packed', async () => {
    const sizeBytes = 20 * MIB + 5;
    const file = await ceph.server.create(`size ${sizeBytes}\ntier disk\n${pairs}`);
    const [first, packed, unpacked] = [
      await cephDrive(`size ${sizeBytes}\n${pairs}`),
      await cephDrive(`size ${sizeBytes}\n${pairs}`),
      await ceph.server.create(`size ${sizeBytes}\ntier disk\n${pairs}`),
    ];
    const parts = { [3 * MIB]: noise('a', 9 * MIB), [sizeBytes - 5]: noise('b', 5) };
    for (const [offset, bytes] of Object.entries(parts)) {
      for (let at = 0; at < bytes.length; at += 4 * MIB) {
        await write(file, Number(offset) + at, bytes.subarray(at, at + 4 * MIB));
      }
    }
    await runImaging(ceph.server, { source: file, target: first });
    await expectBytes(first, sizeBytes, parts);
    await runImaging(ceph.server, { source: first, target: packed, conversion: 'gzip' });
    await runImaging(ceph.server, { source: packed, target: unpacked, conversion: 'gunzip' });
    await expectBytes(unpacked, sizeBytes, parts);
    await runImaging(ceph.server, { source: first, target: packed });
    await expectBytes(packed, sizeBytes, parts);
  });
});

test('what was never written is a hole to those who ask', async () => {
  const drive = await cephDrive('size 100M\nencryption:cipher none');
  await write(drive, 40 * MIB, noise('a', 4096));
  const map = (await ceph.server.json(`/drives/${drive}/map?offset=0&size=100M`)) as Record<
    string,
    unknown
  >[];
  expect(map.filter((block) => String(block['zero']) !== 'true')).toHaveLength(1);
});

test('a server that was killed finds what it had, and what it destroys is gone from Ceph, though the old one is known there', async () => {
  const drive = await cephDrive('size 8M');
  await write(drive, 0, noise('a', 4 * MIB));
  const kept = await cephDrive('size 6M\nname kept');
  await write(kept, 5, noise('b', 4 * MIB));
  await ceph.restart('SIGKILL');
  // What the killed one may have on its way is kept out first; a start does not wait for that when the machine is busy.
  await ceph.untilStatus(kept, 'active');
  await expectBytes(kept, 6 * MIB, { 5: noise('b', 4 * MIB) });
  expect(await ceph.server.info(kept)).toMatchObject({ name: 'kept', status: 'active' });
  expect(await images()).toContain(drive);
  expect((await ceph.server.post(`/drives/${drive}/destroy`)).status).toBe(204);
  expect(await images()).not.toContain(drive);
  const trash = async (): Promise<string> => await testCluster().rbd('trash', 'ls', ceph.cephPool);
  await expect.poll(trash, { timeout: 60_000, interval: 500 }).toBe('');
});

test('qemu-img opens the image in Ceph with the exported passphrase', async () => {
  const drive = await cephDrive('size 6M');
  await write(drive, MIB, noise('a', 2 * MIB));
  const exported = (await ceph.server.json(`/admin/drives/${drive}/key/export`, '')) as Record<
    string,
    string
  >;
  const path = join(ceph.scratch, 'passphrase');
  writeFileSync(path, exported['passphrase'] ?? '');
  const out = join(ceph.scratch, 'out.raw');
  expect(exported['volume']).toContain(`rbd:${ceph.cephPool}/drivebay-${drive}:id=${ceph.user}`);
  const place = { driver: 'rbd', pool: ceph.cephPool, image: `drivebay-${drive}`, user: ceph.user };
  const file = Object.entries({ ...place, conf: testCluster().confPath }).map(
    ([key, value]) => `file.${key}=${value}`,
  );
  const image = ['driver=luks', 'key-secret=k', ...file].join(',');
  const secret = ['--object', `secret,id=k,file=${path}`];
  execFileSync('qemu-img', ['convert', ...secret, '--image-opts', image, '-O', 'raw', out]);
  const expected = Buffer.alloc(6 * MIB);
  noise('a', 2 * MIB).copy(expected, MIB);
  expect(readFileSync(out).equals(expected)).toBe(true);
});
