import { randomBytes } from 'node:crypto';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { MIB } from '../../core/sizes.ts';
import { encryptAhead, isSectorRange, writeInPlace } from './in-place-write.ts';
import { DRIVE_LOCK_BYTES } from './drive-lock.ts';
import { createVolume, openVolume } from '../luks-volume.ts';
import { SCRATCH_DRIVE, scratchEngine, scratchFilePool } from '../scratch-devices.ts';
import type { Volume } from '../volume.ts';

const SIZE = 3 * MIB;
const volumeKey = randomBytes(64);

let scratch: ReturnType<typeof scratchFilePool>;
beforeEach(() => {
  scratch = scratchFilePool();
});
afterEach(async () => {
  await scratch.dispose();
});

async function newVolume(key: Uint8Array | null): Promise<Volume> {
  const encryption =
    key === null ? null : { volumeKey: key, passphrase: 'Abcdefghijklmnopqrstuvwxyz0123456789' };
  await createVolume(scratch.pool, { volumeName: SCRATCH_DRIVE, sizeBytes: SIZE, encryption });
  const lock = new SharedArrayBuffer(DRIVE_LOCK_BYTES);
  const spec = { volumeName: SCRATCH_DRIVE, sizeBytes: SIZE, volumeKey: key, lock };
  return await openVolume(scratch.pool, spec, { engine: scratchEngine(), access: 'read-write' });
}

async function contentOf(volume: Volume): Promise<Buffer> {
  const bytes = Buffer.alloc(SIZE);
  await volume.read(0, bytes);
  return bytes;
}

test.each([
  ['none of it is encrypted yet', 4096, MIB + 512, 0],
  ['some of it is encrypted', 1024, 2 * MIB, 256 * 1024],
  ['all of it is encrypted', 512, MIB, MIB],
  ['it begins within a sector', 100, 2048, 0],
  ['it ends within a sector', 512, 2000, 0],
])(
  'what is written in place is read, and nothing besides, when %s',
  async (_when, offsetBytes, length, aheadBytes) => {
    await using cleanUp = new AsyncDisposableStack();
    const volume = await newVolume(volumeKey);
    cleanUp.defer(async () => await volume.close());
    const before = randomBytes(SIZE);
    await volume.write(0, before);
    const data = randomBytes(length);
    const own = Buffer.from(data);
    if (aheadBytes > 0) encryptAhead(volume, offsetBytes, own.subarray(0, aheadBytes));
    await writeInPlace(volume, offsetBytes, { data: own, encryptedBytes: aheadBytes });
    data.copy(before, offsetBytes);
    expect((await contentOf(volume)).equals(before)).toBe(true);
  },
);

test('a drive that is not encrypted is written as it is, and nothing is encrypted for it', async () => {
  await using cleanUp = new AsyncDisposableStack();
  const volume = await newVolume(null);
  cleanUp.defer(async () => await volume.close());
  const data = randomBytes(MIB);
  await writeInPlace(volume, 512, { data: Buffer.from(data), encryptedBytes: 0 });
  expect((await contentOf(volume)).subarray(512, 512 + MIB).equals(data)).toBe(true);
  expect(() => encryptAhead(volume, 0, Buffer.alloc(512))).toThrow('that is not');
});

test('what is not whole sectors is never taken to be encrypted', async () => {
  await using cleanUp = new AsyncDisposableStack();
  const volume = await newVolume(volumeKey);
  cleanUp.defer(async () => await volume.close());
  expect(isSectorRange({ offsetBytes: 512, lengthBytes: 1024 })).toBe(true);
  expect(isSectorRange({ offsetBytes: 1, lengthBytes: 1024 })).toBe(false);
  expect(isSectorRange({ offsetBytes: 512, lengthBytes: 1025 })).toBe(false);
  const write = (): unknown => writeInPlace(volume, 1, { data: Buffer.alloc(512), encryptedBytes: 512 });
  expect(write).toThrow('encrypted already');
});
