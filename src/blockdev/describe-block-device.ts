import * as fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { BlockDevice, Range } from './block-device.ts';
import { deviceCommands, runAgainstModel } from './describe-device-model.ts';

/** A device for one test. */
export interface ScratchDevice {
  /** Of the size asked for, and reading as zeros. */
  readonly device: BlockDevice;
  /** Opens the same content anew; the first device is closed by then. */
  reopen(): Promise<BlockDevice>;
  dispose(): Promise<void>;
}

const UNITS = 64;

/**
 * What every block device promises; each implementation and each stack of layers runs it.
 *
 * @param unitBytes the block size, or for byte-addressed devices some unit whose multiples are not aligned to anything
 */
export function describeBlockDevice(
  name: string,
  { unitBytes, open }: { unitBytes: number; open: (sizeBytes: number) => Promise<ScratchDevice> },
): void {
  const sizeBytes = UNITS * unitBytes;

  describe(`${name} as a block device`, () => {
    let scratch: ScratchDevice;
    let device: BlockDevice;

    beforeEach(async () => {
      scratch = await open(sizeBytes);
      device = scratch.device;
    });
    afterEach(async () => {
      await scratch.dispose();
    });

    const units = (first: number, count: number): Range => ({
      offsetBytes: first * unitBytes,
      lengthBytes: count * unitBytes,
    });
    const filled = (count: number, value: number): Uint8Array =>
      new Uint8Array(count * unitBytes).fill(value);
    async function content(): Promise<Uint8Array> {
      const bytes = new Uint8Array(device.sizeBytes).fill(0xee);
      await device.read(0, bytes);
      return bytes;
    }

    test('a new device has the size asked for and reads as zeros', async () => {
      expect(device.sizeBytes).toBe(sizeBytes);
      expect(unitBytes % device.blockSize).toBe(0);
      expect(await content()).toEqual(new Uint8Array(sizeBytes));
    });

    test('what was written is read at once, and nothing else has changed', async () => {
      const from = filled(3, 7);
      await device.write(unitBytes * 5, from);
      const expected = new Uint8Array(sizeBytes).fill(7, 5 * unitBytes, 8 * unitBytes);
      expect(await content()).toEqual(expected);
      expect(from).toEqual(filled(3, 7));
    });

    test('what was written is there when the device is opened anew', async () => {
      await device.write(unitBytes, filled(2, 9));
      await device.flush();
      await device.close();
      device = await scratch.reopen();
      const expected = new Uint8Array(sizeBytes).fill(9, unitBytes, 3 * unitBytes);
      expect(await content()).toEqual(expected);
    });

    test('what is zeroed reads as zeros, and its neighbours stay', async () => {
      await device.write(0, filled(UNITS, 5));
      await device.zero(units(3, 20));
      const expected = new Uint8Array(sizeBytes).fill(5).fill(0, 3 * unitBytes, 23 * unitBytes);
      expect(await content()).toEqual(expected);
    });

    test('what is discarded reads as zeros or as it was, and its neighbours stay', async () => {
      await device.write(0, filled(UNITS, 5));
      await device.discard(units(3, 20));
      const bytes = await content();
      expect(bytes.subarray(0, 3 * unitBytes)).toEqual(filled(3, 5));
      expect(bytes.subarray(23 * unitBytes)).toEqual(filled(UNITS - 23, 5));
      const discarded = bytes.subarray(3 * unitBytes, 23 * unitBytes);
      expect(discarded.every((byte) => byte === 0 || byte === 5)).toBe(true);
    });

    test('claiming space changes nothing that can be read', async () => {
      await device.write(0, filled(2, 5));
      await device.reserve(units(1, 10));
      const expected = new Uint8Array(sizeBytes).fill(5, 0, 2 * unitBytes);
      expect(await content()).toEqual(expected);
      expect(device.sizeBytes).toBe(sizeBytes);
    });

    test('extents cover the range exactly, are merged, and never call data zero', async () => {
      await device.write(unitBytes * 9, filled(1, 1));
      await device.write(unitBytes * 40, filled(2, 1));
      const range = units(2, 50);
      const extents = await device.extents(range);
      let end = range.offsetBytes;
      let lastKind: string | null = null;
      for (const extent of extents) {
        expect(extent.offsetBytes).toBe(end);
        expect(extent.lengthBytes).toBeGreaterThan(0);
        expect(extent.kind).not.toBe(lastKind);
        ({ kind: lastKind } = extent);
        end += extent.lengthBytes;
        if (extent.kind === 'data') continue;
        const bytes = new Uint8Array(extent.lengthBytes).fill(1);
        await device.read(extent.offsetBytes, bytes);
        expect(bytes.every((byte) => byte === 0)).toBe(true);
      }
      expect(end).toBe(range.offsetBytes + range.lengthBytes);
      expect(await device.extents(units(4, 0))).toEqual([]);
    });

    test('a device made smaller and larger again has lost what was cut off', async () => {
      await device.write(0, filled(UNITS, 5));
      await device.resize(10 * unitBytes);
      expect(device.sizeBytes).toBe(10 * unitBytes);
      expect(await content()).toEqual(filled(10, 5));
      await device.resize(sizeBytes);
      const expected = new Uint8Array(sizeBytes).fill(5, 0, 10 * unitBytes);
      expect(await content()).toEqual(expected);
    });

    test('a device made larger keeps what it has, and can be written to its new end', async () => {
      await device.write(0, filled(UNITS, 5));
      await device.resize(2 * sizeBytes);
      await device.write(2 * sizeBytes - unitBytes, filled(1, 6));
      const expected = new Uint8Array(2 * sizeBytes).fill(5, 0, sizeBytes).fill(6, 2 * sizeBytes - unitBytes);
      expect(await content()).toEqual(expected);
    });

    test('ranges past the end, before the start or off the blocks are refused as mistakes', async () => {
      const misfits = [units(UNITS, 1), units(-1, 1), units(UNITS - 1, 2), units(0, 2 ** 53)];
      if (device.blockSize > 1) misfits.push({ offsetBytes: 1, lengthBytes: unitBytes });
      for (const range of misfits) {
        for (const call of ['zero', 'discard', 'reserve', 'extents'] as const) {
          await expect(async () => await device[call](range)).rejects.toThrow(RangeError);
        }
      }
      await expect(async () => await device.write(sizeBytes, filled(1, 1))).rejects.toThrow(RangeError);
      await expect(async () => await device.read(sizeBytes, filled(1, 1))).rejects.toThrow(RangeError);
      await expect(async () => await device.resize(-1)).rejects.toThrow(RangeError);
    });

    test('empty ranges are fine everywhere, also at the end', async () => {
      const nothing = units(UNITS, 0);
      await device.read(sizeBytes, new Uint8Array());
      await device.write(sizeBytes, new Uint8Array());
      await device.zero(nothing);
      await device.discard(nothing);
      await device.reserve(nothing);
      expect(await content()).toEqual(new Uint8Array(sizeBytes));
    });

    test('any sequence of calls leaves what a plain buffer would hold', async () => {
      const run = fc.assert(
        fc.asyncProperty(deviceCommands(device.blockSize, sizeBytes), async (commands) => {
          const fresh = await open(sizeBytes);
          try {
            await runAgainstModel(fresh.device, commands);
          } finally {
            await fresh.dispose();
          }
        }),
        { numRuns: 30 },
      );
      await expect(run).resolves.toBeUndefined();
    });
  });
}
