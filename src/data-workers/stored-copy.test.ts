import { randomBytes } from 'node:crypto';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Range } from '../blockdev/block-device.ts';
import type { ScratchPool } from '../blockdev/describe-storage-pool.ts';
import { SCRATCH_DRIVE, scratchFilePool } from '../blockdev/scratch-devices.ts';
import type { StoragePool } from '../blockdev/storage-pool.ts';
import { StoredDevices } from './stored-devices.ts';
import { copyIn, copyOut, listStretches, makeStored, syncStored } from './stored-copy.ts';

const MIB = 2 ** 20;
const SIZE_BYTES = 3 * MIB + 700;

interface Side extends ScratchPool {
  readonly devices: StoredDevices;
}

/** What is done in an earlier life is refused. */
let checkLife: () => void;
let source: Side;
let target: Side;

beforeEach(async () => {
  checkLife = () => undefined;
  [source, target] = [await openSide(), await openSide()];
  await source.pool.create(SCRATCH_DRIVE, SIZE_BYTES);
});

afterEach(async () => {
  for (const { devices, dispose } of [source, target]) {
    await devices.close(SCRATCH_DRIVE);
    await dispose();
  }
});

async function openSide(): Promise<Side> {
  const scratch = await scratchFilePool();
  return { ...scratch, devices: new StoredDevices(scratch.pool) };
}

async function write(pool: StoragePool, offsetBytes: number, data: Uint8Array): Promise<void> {
  const device = await pool.open(SCRATCH_DRIVE, 'read-write');
  await device.write(offsetBytes, data);
  await device.close();
}

async function contentOf(pool: StoragePool): Promise<{ bytes: Buffer; holes: readonly Range[] }> {
  const device = await pool.open(SCRATCH_DRIVE, 'read-only');
  const bytes = Buffer.alloc(device.sizeBytes);
  await device.read(0, bytes);
  const extents = await device.extents({ offsetBytes: 0, lengthBytes: device.sizeBytes });
  await device.close();
  return { bytes, holes: extents.filter(({ kind }) => kind === 'zero') };
}

/** Copies all of it; answers the bytes written. */
async function copyAll(isCompared: boolean): Promise<number> {
  let writtenBytes = 0;
  for (let offsetBytes = 0; offsetBytes < SIZE_BYTES; offsetBytes += MIB) {
    const range = { offsetBytes, lengthBytes: Math.min(MIB, SIZE_BYTES - offsetBytes) };
    const buffer = Buffer.alloc(range.lengthBytes);
    const data = await copyOut(source.devices, { volumeName: SCRATCH_DRIVE, range, into: buffer });
    const compare = isCompared ? Buffer.alloc(range.lengthBytes) : null;
    writtenBytes += await copyIn(target.devices, {
      volumeName: SCRATCH_DRIVE,
      range,
      from: buffer,
      data,
      compare,
      checkLife,
    });
  }
  await syncStored(target.devices, { volumeName: SCRATCH_DRIVE, checkLife });
  return writtenBytes;
}

const make = (mayKeep: boolean, sizeBytes = SIZE_BYTES) =>
  makeStored(target.devices, { volumeName: SCRATCH_DRIVE, sizeBytes, mayKeep, checkLife });

test('a copy has the same bytes and the same holes', async () => {
  await write(source.pool, 5000, randomBytes(10));
  await write(source.pool, MIB - 10, randomBytes(20));
  await write(source.pool, SIZE_BYTES - 100, randomBytes(100));
  expect(await make(false)).toBe(false);
  await copyAll(false);
  expect(await contentOf(target.pool)).toEqual(await contentOf(source.pool));
  expect((await contentOf(target.pool)).holes.length).toBeGreaterThan(1);
});

test('what a copy had before is made a hole where the source is one, and only what differs is written', async () => {
  await write(source.pool, 0, randomBytes(2 * MIB));
  await make(false);
  expect(await copyAll(true)).toBe(2 * MIB);
  await write(target.pool, 2 * MIB, randomBytes(5000));
  await write(source.pool, 100, Buffer.from('different'));
  expect(await make(true)).toBe(true);
  expect(await copyAll(true)).toBe(MIB);
  expect(await contentOf(target.pool)).toEqual(await contentOf(source.pool));
});

test('a copy of another size, or one that is not to be kept, is made anew', async () => {
  await make(false, MIB);
  expect(await make(true)).toBe(false);
  await write(target.pool, 0, randomBytes(100));
  expect(await make(false)).toBe(false);
  expect((await contentOf(target.pool)).bytes.equals(Buffer.alloc(SIZE_BYTES))).toBe(true);
});

test('stretches cover all data, from any of their borders on, and little of the holes', async () => {
  await source.pool.create(SCRATCH_DRIVE, 2 ** 42);
  const offsets = [0, 64 * MIB - 1, 2 ** 40 + 123, 2 ** 42 - 1];
  for (const offsetBytes of offsets) await write(source.pool, offsetBytes, Buffer.from('x'));
  const found: Range[] = [];
  for (let fromBytes = 0; fromBytes < 2 ** 42;) {
    const page = await listStretches(source.devices, { volumeName: SCRATCH_DRIVE, fromBytes });
    found.push(...page.stretches);
    fromBytes = page.nextOffsetBytes;
  }
  for (const offset of offsets) {
    expect(
      found.some((each) => each.offsetBytes <= offset && offset < each.offsetBytes + each.lengthBytes),
    ).toBe(true);
  }
  expect(found.reduce((sum, { lengthBytes }) => sum + lengthBytes, 0)).toBeLessThan(MIB);
});

test('nothing is changed by what was begun in an earlier life', async () => {
  await make(false);
  await write(source.pool, 0, randomBytes(4096));
  checkLife = () => {
    throw new Error('That was in an earlier life.');
  };
  const before = await contentOf(target.pool);
  await expect(copyAll(false)).rejects.toThrow('earlier life');
  await expect(copyAll(true)).rejects.toThrow('earlier life');
  await expect(make(false, MIB)).rejects.toThrow('earlier life');
  const sync = { volumeName: SCRATCH_DRIVE, checkLife };
  await expect(syncStored(target.devices, sync)).rejects.toThrow('earlier life');
  expect(await contentOf(target.pool)).toEqual(before);
});
