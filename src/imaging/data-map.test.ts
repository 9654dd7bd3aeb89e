import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Range } from '../blockdev/block-device.ts';
import { MIB } from '../core/sizes.ts';
import { countShared, createDataMap } from './data-map.ts';
import { createScratchDrive, fillScratch } from './scratch-drive.ts';
import type { ScratchDrive } from './scratch-drive.ts';

const BLOCK_BYTES = 4096;
const WHOLE = { offsetBytes: 0, lengthBytes: MIB };

/** Which of the first blocks of a drive of 1 MiB hold data: so many that some are neighbours. */
const blocks = fc.uniqueArray(fc.nat(63), { maxLength: 60, size: 'max' });

async function makeDrive(held: readonly number[]): Promise<ScratchDrive> {
  const drive = createScratchDrive('drive', MIB);
  for (const block of held) await fillScratch(drive, block * BLOCK_BYTES, Buffer.alloc(BLOCK_BYTES, 1));
  return drive;
}

function blocksOf(stretches: readonly Range[]): number[] {
  return stretches.flatMap(({ offsetBytes, lengthBytes }) =>
    Array.from({ length: lengthBytes / BLOCK_BYTES }, (_, index) => offsetBytes / BLOCK_BYTES + index),
  );
}

test('what is remembered of a part is what was found in the whole', async () => {
  await fc.assert(
    fc.asyncProperty(blocks, fc.nat(64), fc.nat(64), async (held, one, other) => {
      const [start, end] = [Math.min(one, other), Math.max(one, other)];
      const drive = await makeDrive(held);
      const map = createDataMap(drive);
      const sorted = held.toSorted((a, b) => a - b);
      expect(blocksOf(await Array.fromAsync(map.stretches(WHOLE)))).toEqual(sorted);
      const calls = drive.counts.extentCalls;
      const range = { offsetBytes: start * BLOCK_BYTES, lengthBytes: (end - start) * BLOCK_BYTES };
      const part = await Array.fromAsync(map.stretches(range));
      expect(blocksOf(part)).toEqual(sorted.filter((block) => block >= start && block < end));
      expect(drive.counts.extentCalls).toBe(calls);
    }),
  );
});

test('a look that was not ended is not remembered', async () => {
  const drive = await makeDrive([3, 200]);
  const map = createDataMap(drive);
  for await (const _ of map.stretches(WHOLE)) break;
  expect(blocksOf(await Array.fromAsync(map.stretches(WHOLE)))).toEqual([3, 200]);
});

test('a drive of many fragments is looked at again each time', async () => {
  const drive = createScratchDrive('drive', 256 * MIB);
  for (let block = 0; block < 32_770; block += 2)
    await fillScratch(drive, block * BLOCK_BYTES, Buffer.alloc(512, 1));
  const map = createDataMap(drive);
  const range = { offsetBytes: 0, lengthBytes: drive.sizeBytes };
  const found = await Array.fromAsync(map.stretches(range));
  expect(found).toHaveLength(16_385);
  const calls = drive.counts.extentCalls;
  expect(await Array.fromAsync(map.stretches(range))).toEqual(found);
  expect(drive.counts.extentCalls).toBe(2 * calls);
});

test('what two drives share is counted, however their stretches lie', async () => {
  await fc.assert(
    fc.asyncProperty(blocks, blocks, fc.boolean(), async (one, other, isRemembered) => {
      const data = createDataMap(await makeDrive(other));
      if (isRemembered) await Array.fromAsync(data.stretches(WHOLE));
      const stretches = await Array.fromAsync(createDataMap(await makeDrive(one)).stretches(WHOLE));
      const both = one.filter((block) => other.includes(block));
      expect(await countShared(stretches, data)).toBe(both.length * BLOCK_BYTES);
    }),
    { numRuns: 200 },
  );
});
