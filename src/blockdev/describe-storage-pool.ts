import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { noise } from '../../test/helpers/sample-bytes.ts';
import { MIB } from '../core/sizes.ts';
import type { BlockDevice } from './block-device.ts';
import type { StoragePool } from './storage-pool.ts';

/** A pool for one test, and how to open the same one anew as another process would. */
export interface ScratchPool {
  readonly pool: StoragePool;
  dispose(): Promise<void>;
}

const FIRST = '11111111-2222-4333-8444-555555555555';
const SECOND = '66666666-7777-4888-9999-aaaaaaaaaaaa';
/** What the second drive has after an imaging. */
const LATER = `${SECOND}.0123456789ab`;
const SIZE = 300_001;

function closing(device: BlockDevice): AsyncDisposable & { readonly device: BlockDevice } {
  return { device, [Symbol.asyncDispose]: async () => await device.close() };
}

/** What every storage pool promises. */
export function describeStoragePool(name: string, open: () => Promise<ScratchPool>): void {
  describe(`${name} as a storage pool`, () => {
    let scratch: ScratchPool;
    let pool: StoragePool;

    beforeEach(async () => {
      scratch = await open();
      pool = scratch.pool;
    });
    afterEach(async () => {
      await scratch.dispose();
    });

    async function write(volumeName: string, offsetBytes: number, bytes: Uint8Array): Promise<void> {
      const device = await pool.open(volumeName, 'read-write');
      await device.write(offsetBytes, bytes);
      await device.flush();
      await device.close();
    }
    async function content(volumeName: string): Promise<Buffer> {
      const device = await pool.open(volumeName, 'read-only');
      const bytes = Buffer.alloc(device.sizeBytes, 0xee);
      await device.read(0, bytes);
      await device.close();
      return bytes;
    }

    test('a new volume has its size, reads as zeros and is listed', async () => {
      expect(await pool.list()).toEqual([]);
      await pool.create(FIRST, SIZE);
      await pool.create(SECOND, 1);
      expect((await content(FIRST)).equals(Buffer.alloc(SIZE))).toBe(true);
      expect([...(await pool.list())].sort()).toEqual([FIRST, SECOND]);
    });

    test('a volume that a crash left half made is replaced by an empty one', async () => {
      await pool.create(FIRST, SIZE);
      await write(FIRST, 5, Buffer.alloc(1000, 1));
      await pool.create(FIRST, 2000);
      expect((await content(FIRST)).equals(Buffer.alloc(2000))).toBe(true);
    });

    test('what was written through one opening is read through another', async () => {
      await pool.create(FIRST, SIZE);
      const reader = await pool.open(FIRST, 'read-only');
      await write(FIRST, SIZE - 3, Buffer.from('abc'));
      const bytes = Buffer.alloc(3);
      await reader.read(SIZE - 3, bytes);
      expect(bytes.toString()).toBe('abc');
      await reader.close();
    });

    test('what is written in one call is there as a whole, however large', async () => {
      // Not a multiple of anything that a device may split it by.
      const bytes = noise('large', 3 * MIB + 5);
      await pool.create(FIRST, 4 * MIB);
      await write(FIRST, 1001, bytes);
      const expected = Buffer.alloc(4 * MIB);
      expected.set(bytes, 1001);
      expect((await content(FIRST)).equals(expected)).toBe(true);
    });

    test('a volume opened for reading refuses every change with EROFS', async () => {
      await pool.create(FIRST, SIZE);
      const device = await pool.open(FIRST, 'read-only');
      const range = { offsetBytes: 0, lengthBytes: 10 };
      const erofs = expect.objectContaining({ code: 'EROFS' });
      await expect(async () => await device.write(0, new Uint8Array(10))).rejects.toEqual(erofs);
      await expect(async () => await device.resize(10)).rejects.toEqual(erofs);
      for (const call of ['zero', 'discard', 'reserve'] as const) {
        await expect(async () => await device[call](range)).rejects.toEqual(erofs);
      }
      await device.close();
    });

    test('a removed volume is gone, and removing it again does nothing', async () => {
      await pool.create(FIRST, SIZE);
      await pool.remove(FIRST);
      expect(await pool.list()).toEqual([]);
      const enoent = expect.objectContaining({ code: 'ENOENT' });
      await expect(async () => await pool.open(FIRST, 'read-only')).rejects.toEqual(enoent);
      await pool.remove(FIRST);
      await pool.remove(SECOND);
    });

    /** Clones it in place of what is left of an earlier attempt; null where the pool says why it cannot, and nothing is there. */
    async function clone(source: string, target: string, sizeBytes: number): Promise<Buffer | null> {
      await pool.create(target, 10);
      const refusal = await pool.clone({ source, target, sizeBytes });
      if (refusal === null) return await content(target);
      expect(refusal).toMatch(/\w/);
      expect(await pool.list()).not.toContain(target);
      return null;
    }

    test('a clone has the bytes of its source and then zeros, at its own size, or is not there', async () => {
      await pool.create(FIRST, SIZE);
      await write(FIRST, 1000, Buffer.alloc(100_000, 3));
      const cloned = await clone(FIRST, LATER, SIZE + 100_000);
      expect((await pool.list()).includes(LATER)).toBe(cloned !== null);
      const expected = Buffer.alloc(SIZE + 100_000).fill(3, 1000, 101_000);
      expect(cloned?.equals(expected) ?? true).toBe(true);
    });

    test('a clone and its source know nothing of what is written to the other', async () => {
      await pool.create(FIRST, SIZE);
      await write(FIRST, 0, Buffer.alloc(SIZE, 3));
      await using older = closing(await pool.open(FIRST, 'read-write'));
      if ((await clone(FIRST, LATER, SIZE)) === null) return;
      await write(LATER, 0, Buffer.alloc(1000, 5));
      await older.device.write(2000, Buffer.alloc(1000, 4));
      expect((await content(LATER)).equals(Buffer.alloc(SIZE, 3).fill(5, 0, 1000))).toBe(true);
      expect((await content(FIRST)).equals(Buffer.alloc(SIZE, 3).fill(4, 2000, 3000))).toBe(true);
    });

    test('a clone outlives its source, and what it gives back or loses by shrinking does not come back', async () => {
      await pool.create(FIRST, SIZE);
      await write(FIRST, 0, Buffer.alloc(SIZE, 3));
      const cloned = await clone(FIRST, LATER, SIZE);
      await pool.remove(FIRST);
      expect(await pool.list()).toEqual(cloned === null ? [] : [LATER]);
      if (cloned === null) return;
      const device = await pool.open(LATER, 'read-write');
      await device.zero({ offsetBytes: 4096, lengthBytes: 8192 });
      await device.resize(200_000);
      await device.resize(SIZE);
      await device.close();
      const left = Buffer.alloc(SIZE).fill(3, 0, 200_000).fill(0, 4096, 12_288);
      expect((await content(LATER)).equals(left)).toBe(true);
    });

    test('what a clone has of its source is data, wherever it is written', async () => {
      await pool.create(FIRST, SIZE);
      await write(FIRST, 0, Buffer.alloc(SIZE, 3));
      if ((await clone(FIRST, LATER, 2 * SIZE)) === null) return;
      await write(LATER, 8192, Buffer.alloc(10, 4));
      const device = await pool.open(LATER, 'read-only');
      const extents = await device.extents({ offsetBytes: 0, lengthBytes: SIZE });
      expect(extents).toEqual([{ offsetBytes: 0, lengthBytes: SIZE, kind: 'data' }]);
      await device.close();
    });

    test('the room is what there is, and no more is free than that', async () => {
      const room = await pool.room();
      expect(room.totalBytes).toBeGreaterThan(0);
      expect(room.freeBytes).toBeGreaterThan(0);
      expect(room.freeBytes).toBeLessThanOrEqual(room.totalBytes);
    });
  });
}
