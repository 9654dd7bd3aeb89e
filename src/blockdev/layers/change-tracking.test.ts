import { randomBytes } from 'node:crypto';
import { expect, test } from 'vitest';
import type { BlockDevice, Range } from '../block-device.ts';
import { createVolume, openVolume } from '../luks-volume.ts';
import { createMemoryPool } from '../memory/memory-pool.ts';
import { memoryDevice } from '../memory/memory-device.ts';
import { later, SCRATCH_DRIVE, scratchEngine } from '../scratch-devices.ts';
import { changeTracking } from './change-tracking.ts';
import { DRIVE_LOCK_BYTES } from './drive-lock.ts';
import { fault } from './fault.ts';
import { writeInPlace } from './in-place-write.ts';

const SIZE_BYTES = 2 ** 20;

function memory(): BlockDevice {
  return memoryDevice({ sizeBytes: SIZE_BYTES, pages: new Map() }, { capacityBytes: 2 ** 30, usedBytes: 0 });
}

function range(offsetBytes: number, lengthBytes: number): Range {
  return { offsetBytes, lengthBytes };
}

test.each([
  ['at once', (device: BlockDevice) => device],
  ['later', later],
])(
  'on a device that answers %s a change is marked once it has been made, and nothing else is',
  async (_when, wrap) => {
    const device = memory();
    const marks: { range: Range; found: string }[] = [];
    const watched = changeTracking(wrap(device), {
      mark(marked) {
        const found = Buffer.alloc(2);
        void device.read(marked.offsetBytes, found);
        marks.push({ range: marked, found: found.toString('latin1') });
      },
    });
    await watched.write(10, Buffer.from('ab'));
    await watched.zero(range(11, 5));
    await watched.discard(range(10, 1));
    await watched.reserve(range(0, 4096));
    await watched.read(0, Buffer.alloc(4));
    await watched.extents(range(0, 4096));
    await watched.flush();
    expect(marks.map((mark) => mark.range)).toEqual([range(10, 2), range(11, 5), range(10, 1)]);
    expect(marks.map((mark) => mark.found)).toEqual(['ab', '\0\0', '\0\0']);
  },
);

test('a change that fails is marked too: part of it may have been made', async () => {
  const marks: Range[] = [];
  const faulty = fault(memory(), [
    { call: 'write', nth: 1, code: 'EIO' },
    { call: 'zero', nth: 1, code: 'EIO' },
  ]);
  const watched = changeTracking(faulty, { mark: (marked) => marks.push(marked) });
  expect(() => watched.write(7, Buffer.alloc(3))).toThrow('EIO');
  expect(() => watched.zero(range(0, 2))).toThrow('EIO');
  expect(marks).toEqual([range(7, 3), range(0, 2)]);
});

test('changes of an encrypted volume are marked where they are stored', async () => {
  const pool = createMemoryPool();
  const volumeKey = randomBytes(64);
  const encryption = { volumeKey, passphrase: 'a'.repeat(43) };
  await createVolume(pool, { volumeName: SCRATCH_DRIVE, sizeBytes: SIZE_BYTES, encryption });
  const marks: Range[] = [];
  const volume = await openVolume(
    pool,
    {
      volumeName: SCRATCH_DRIVE,
      sizeBytes: SIZE_BYTES,
      volumeKey,
      lock: new SharedArrayBuffer(DRIVE_LOCK_BYTES),
    },
    { engine: scratchEngine(), access: 'read-write', changes: { mark: (marked) => marks.push(marked) } },
  );
  const payload = 2 * 2 ** 20;
  await volume.write(1000, Buffer.from('x'));
  await writeInPlace(volume, 4096, { data: Buffer.alloc(8192), encryptedBytes: 0 });
  await volume.zero(range(0, 512));
  expect(marks).toEqual([range(payload + 512, 512), range(payload + 4096, 8192), range(payload, 512)]);
  await volume.close();
});

test('what one writes while the write of another is waited for is marked when it has been made itself', async () => {
  const marks: string[] = [];
  const ends: (() => void)[] = [];
  const device: BlockDevice = {
    ...memory(),
    write: async () =>
      await new Promise<void>((resolve) => {
        ends.push(resolve);
      }),
  };
  const watched = changeTracking(device, { mark: ({ offsetBytes }) => marks.push(`marked ${offsetBytes}`) });
  const writing = [7, 8].map((offsetBytes) => watched.write(offsetBytes, Buffer.alloc(1)));
  ends[0]?.();
  await writing[0];
  expect(marks).toEqual(['marked 7']);
  ends[1]?.();
  await writing[1];
  expect(marks).toEqual(['marked 7', 'marked 8']);
});
