import { createHash, randomBytes } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import { expect, test } from 'vitest';
import type { BlockDevice } from '../blockdev/block-device.ts';
import { byteAccess } from '../blockdev/layers/byte-access.ts';
import { createDriveLock, DRIVE_LOCK_BYTES } from '../blockdev/layers/drive-lock.ts';
import { fault } from '../blockdev/layers/fault.ts';
import type { Volume } from '../blockdev/volume.ts';
import { createMemoryPool } from '../blockdev/memory/memory-pool.ts';
import { NO_DIGEST } from '../core/body-digest.ts';
import { gmacOf } from '../runtime/gmac.ts';
import { writeBody } from './body-write.ts';
import type { WriteTask } from './protocol.ts';

const SIZE_BYTES = 10_000;

async function newDevice(plan: Parameters<typeof fault>[1] = []): Promise<Volume> {
  const lock = createDriveLock(new SharedArrayBuffer(DRIVE_LOCK_BYTES));
  const pool = createMemoryPool({});
  await pool.create('drive', SIZE_BYTES);
  const blocks = await pool.open('drive', 'read-write');
  return Object.assign(byteAccess(fault(blocks, plan), { sizeBytes: SIZE_BYTES, lock }), { encrypted: null });
}

function task(changes: Partial<WriteTask> = {}): WriteTask {
  const body = { offsetBytes: 100, segments: [], encoding: 'identity', encryptedBytes: 0 } as const;
  return { ...body, digest: NO_DIGEST, isPoolLow: false, ...changes };
}

async function contentOf(device: BlockDevice): Promise<Buffer> {
  const bytes = Buffer.alloc(SIZE_BYTES);
  await device.read(0, bytes);
  return bytes;
}

test('a body in parts is written as one', async () => {
  const device = await newDevice();
  const data = randomBytes(3000);
  const digest = { sha256: createHash('sha256').update(data).digest(), gmac: gmacOf([data]) };
  const body = [data.subarray(0, 1000), data.subarray(1000)];
  expect(await writeBody(device, { task: task({ digest }), body })).toBe(3000);
  expect((await contentOf(device)).subarray(100, 3100).equals(data)).toBe(true);
});

test('a gzip body of several members is unpacked', async () => {
  const device = await newDevice();
  const body = [gzipSync('one '), gzipSync('two')];
  expect(await writeBody(device, { task: task({ encoding: 'gzip' }), body })).toBe(7);
  expect((await contentOf(device)).toString('latin1', 100, 107)).toBe('one two');
});

const packed = gzipSync(randomBytes(2000));
const HUNDRED = randomBytes(100);
const RIGHT = { sha256: createHash('sha256').update(HUNDRED).digest(), gmac: gmacOf([HUNDRED]) };
const corrupt = Buffer.from(packed).fill(0x55, 1000, 1010);

test.each<[string, Partial<WriteTask>, Uint8Array, string]>([
  ['past the end', { offsetBytes: SIZE_BYTES - 99 }, randomBytes(100), 'usage'],
  ['past the end once it is unpacked', { offsetBytes: SIZE_BYTES - 99, encoding: 'gzip' }, packed, 'usage'],
  ['that does not have its SHA-256', { digest: { ...RIGHT, sha256: Buffer.alloc(32) } }, HUNDRED, 'usage'],
  ['that does not have its GMAC', { digest: { ...RIGHT, gmac: Buffer.alloc(16) } }, HUNDRED, 'usage'],
  [
    'of gzip that does not have its GMAC',
    { encoding: 'gzip', digest: { ...RIGHT, sha256: null } },
    packed,
    'usage',
  ],
  ['of corrupt gzip', { encoding: 'gzip' }, corrupt, 'usage'],
  ['of truncated gzip', { encoding: 'gzip' }, packed.subarray(0, -5), 'usage'],
  [
    'of gzip with something behind it',
    { encoding: 'gzip' },
    Buffer.concat([packed, Buffer.from('x')]),
    'usage',
  ],
  [
    'that unpacks to more than 64 MiB',
    { encoding: 'gzip' },
    gzipSync(Buffer.alloc(65 * 2 ** 20)),
    'too-large',
  ],
  ['for which a low pool has no space yet', { isPoolLow: true }, randomBytes(100), 'full'],
])('a body %s changes nothing', async (_what, changes, body, code) => {
  const device = await newDevice();
  await expect(writeBody(device, { task: task(changes), body: [body] })).rejects.toMatchObject({ code });
  expect((await contentOf(device)).equals(Buffer.alloc(SIZE_BYTES))).toBe(true);
});

test('a pool that has no space for the body says so before a byte is written', async () => {
  const device = await newDevice([{ call: 'reserve', nth: 1, code: 'ENOSPC' }]);
  const write = writeBody(device, { task: task(), body: [randomBytes(100)] });
  await expect(write).rejects.toMatchObject({ code: 'ENOSPC' });
  expect((await contentOf(device)).equals(Buffer.alloc(SIZE_BYTES))).toBe(true);
});
