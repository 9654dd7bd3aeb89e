import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { StoragePool } from './storage-pool.ts';

/** A pool for one test, and how to open the same one anew as another process would. */
export interface ScratchPool {
  readonly pool: StoragePool;
  dispose(): Promise<void>;
}

const FIRST = '11111111-2222-4333-8444-555555555555';
const SECOND = '66666666-7777-4888-9999-aaaaaaaaaaaa';
const SIZE = 300_001;

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

    async function write(driveId: string, offsetBytes: number, bytes: Uint8Array): Promise<void> {
      const device = await pool.open(driveId, 'read-write');
      await device.write(offsetBytes, bytes);
      await device.flush();
      await device.close();
    }
    async function content(driveId: string): Promise<Buffer> {
      const device = await pool.open(driveId, 'read-only');
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

    test('a clone has the bytes of its source, then zeros, and lives on its own; or nothing has changed', async () => {
      const source = Buffer.alloc(SIZE);
      source.fill(3, 1000, 100_000);
      await pool.create(FIRST, SIZE);
      await write(FIRST, 0, source);
      await pool.create(SECOND, SIZE + 100_000);
      await write(SECOND, 0, Buffer.alloc(SIZE + 100_000, 9));
      const isCloned = await pool.clone({ sourceDriveId: FIRST, targetDriveId: SECOND });
      const expected = isCloned ? Buffer.alloc(SIZE + 100_000) : Buffer.alloc(SIZE + 100_000, 9);
      if (isCloned) source.copy(expected);
      expect((await content(SECOND)).equals(expected)).toBe(true);
      await write(FIRST, 0, Buffer.alloc(SIZE, 4));
      expect((await content(SECOND)).equals(expected)).toBe(true);
    });

    test('the room is what there is, and no more is free than that', async () => {
      const room = await pool.room();
      expect(room.totalBytes).toBeGreaterThan(0);
      expect(room.freeBytes).toBeGreaterThan(0);
      expect(room.freeBytes).toBeLessThanOrEqual(room.totalBytes);
    });
  });
}
