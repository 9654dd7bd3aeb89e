import {
  mkdirSync,
  mkdtempSync,
  openSync,
  rmSync,
  statSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { GIB, MIB } from '../../core/sizes.ts';
import { AsyncWrites } from './async-writes.ts';
import { fileDevice } from './file-device.ts';
import { createFilePool } from './file-pool.ts';
import { loadFileSyscalls } from './syscalls.ts';
import { volumePath } from './volume-path.ts';

const DRIVE = 'ab0b0c0d-1111-4222-8333-444455556666';
let directory = '';
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'drivebay-files-'));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const takenBytes = (): number => statSync(volumePath(directory, DRIVE)).blocks * 512;

test('a volume is a sparse file under the first two digits of its UUID, for its owner alone', async () => {
  const pool = createFilePool({ directory });
  await pool.create(DRIVE, 100 * GIB);
  const path = join(directory, 'drives', 'ab', `${DRIVE}.img`);
  expect(statSync(path).size).toBe(100 * GIB);
  expect(takenBytes()).toBe(0);
  expect(statSync(path).mode % 0o1000).toBe(0o600);
});

test('space is taken by writing and by claiming, and given back by zeroing and discarding', async () => {
  const pool = createFilePool({ directory });
  await pool.create(DRIVE, 10 * MIB);
  const device = await pool.open(DRIVE, 'read-write');
  await device.reserve({ offsetBytes: 0, lengthBytes: MIB });
  expect(takenBytes()).toBe(MIB);
  await device.write(MIB, new Uint8Array(MIB).fill(1));
  await device.flush();
  expect(takenBytes()).toBe(2 * MIB);
  await device.discard({ offsetBytes: 0, lengthBytes: MIB });
  await device.zero({ offsetBytes: MIB, lengthBytes: MIB });
  expect(takenBytes()).toBe(0);
  await device.close();
});

test('only what was written is data', async () => {
  const pool = createFilePool({ directory });
  await pool.create(DRIVE, 10 * MIB);
  const device = await pool.open(DRIVE, 'read-write');
  await device.write(3 * MIB, new Uint8Array(MIB).fill(1));
  expect(await device.extents({ offsetBytes: 0, lengthBytes: 10 * MIB })).toEqual([
    { offsetBytes: 0, lengthBytes: 3 * MIB, kind: 'zero' },
    { offsetBytes: 3 * MIB, lengthBytes: MIB, kind: 'data' },
    { offsetBytes: 4 * MIB, lengthBytes: 6 * MIB, kind: 'zero' },
  ]);
  await device.close();
});

test('a file that another opening has cut reads as zeros past its end', async () => {
  const pool = createFilePool({ directory });
  await pool.create(DRIVE, 3000);
  const device = await pool.open(DRIVE, 'read-write');
  await device.write(0, new Uint8Array(3000).fill(1));
  truncateSync(volumePath(directory, DRIVE), 1000);
  const bytes = new Uint8Array(3000).fill(9);
  await device.read(0, bytes);
  expect(bytes).toEqual(new Uint8Array(3000).fill(1, 0, 1000));
  await device.close();
});

test('a file that was deleted while it was open cannot be made durable, and can still be read', async () => {
  const pool = createFilePool({ directory });
  await pool.create(DRIVE, 4096);
  const device = await pool.open(DRIVE, 'read-write');
  await device.write(0, new Uint8Array(4096).fill(1));
  await device.flush();
  unlinkSync(volumePath(directory, DRIVE));
  expect(() => device.flush()).toThrow("ESTALE: the drive's file was deleted while it was open");
  const bytes = new Uint8Array(4096);
  await device.read(0, bytes);
  expect(bytes).toEqual(new Uint8Array(4096).fill(1));
  await device.close();
});

test('a file system that counts no names of files can be flushed', () => {
  const path = join(directory, 'unnamed');
  writeFileSync(path, 'content');
  const fd = openSync(path, 'r+');
  unlinkSync(path);
  const device = fileDevice(fd, loadFileSyscalls(), new AsyncWrites());
  expect(() => device.flush()).not.toThrow();
  void device.close();
});

test('files that are no volumes are not listed', async () => {
  const pool = createFilePool({ directory });
  await pool.create(DRIVE, 1);
  writeFileSync(join(directory, 'drives', 'ab', '.clone-1-1'), '');
  writeFileSync(join(directory, 'drives', 'ab', 'notes.img'), '');
  writeFileSync(join(directory, 'drives', 'README'), '');
  mkdirSync(join(directory, 'drives', 'lost+found'));
  expect(await pool.list()).toEqual([DRIVE]);
});

test('the directory of a pool is never made: it may be a disk that is not mounted', () => {
  const pool = createFilePool({ directory: join(directory, 'missing') });
  const enoent = expect.objectContaining({ code: 'ENOENT' });
  expect(() => pool.create(DRIVE, 1)).toThrow(enoent);
  expect(() => pool.remove(DRIVE)).toThrow(enoent);
  expect(() => pool.list()).toThrow(enoent);
});

test('a volume larger than the file system allows is refused, and leaves nothing behind', async () => {
  const pool = createFilePool({ directory });
  expect(() => pool.create(DRIVE, Number.MAX_SAFE_INTEGER)).toThrow(/EFBIG|EINVAL|ENOSPC/);
  expect(await pool.list()).toEqual([]);
});

test('a name that is no UUID never becomes a path', () => {
  const pool = createFilePool({ directory });
  expect(() => pool.create('../../etc/passwd', 1)).toThrow(RangeError);
});

test.each([
  ['aligned, past the page cache', 4096],
  ['not aligned', 4097],
])(
  'a large write that is %s is seen by every reader, and leaves what is around it',
  async (_how, offsetBytes) => {
    const pool = createFilePool({ directory });
    await pool.create(DRIVE, 4 * MIB);
    const [writer, reader] = [await pool.open(DRIVE, 'read-write'), await pool.open(DRIVE, 'read-only')];
    await writer.write(0, new Uint8Array(4 * MIB).fill(1));
    const seen = new Uint8Array(4 * MIB);
    await reader.read(0, seen);
    const memory = Buffer.from(new SharedArrayBuffer(2 * MIB)).fill(2);
    await writer.write(offsetBytes, memory);
    await reader.read(0, seen);
    const expected = Buffer.alloc(4 * MIB, 1).fill(2, offsetBytes, offsetBytes + 2 * MIB);
    expect(expected.equals(seen)).toBe(true);
    await writer.close();
    await reader.close();
  },
);

test('large writes are seen, aligned or not', async () => {
  const pool = createFilePool({ directory });
  await pool.create(DRIVE, 4 * MIB);
  const device = await pool.open(DRIVE, 'read-write');
  const memory = Buffer.from(new SharedArrayBuffer(3 * MIB));
  const parts = [0, 1, 2].map((part) => memory.subarray(part * MIB, (part + 1) * MIB).fill(part + 1));
  const offsets = [0, MIB, 2 * MIB + 5];
  for (const [index, part] of parts.entries()) await device.write(offsets[index] ?? 0, part);
  const seen = Buffer.alloc(4 * MIB);
  await device.read(0, seen);
  for (const [index, part] of parts.entries()) {
    const at = offsets[index] ?? 0;
    expect(seen.subarray(at, at + MIB).equals(part)).toBe(true);
  }
  await device.close();
});
