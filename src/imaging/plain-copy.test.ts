import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { GIB, MIB } from '../core/sizes.ts';
import { createCopySchedule } from './copy-schedule.ts';
import { copyRange, planTasks } from './plain-copy.ts';
import { createScratchDrive, createScratchHooks, fillScratch } from './scratch-drive.ts';
import type { ScratchDrive } from './scratch-drive.ts';

const KIB = 1024;

/** Stretches of a drive that hold bytes, or allocated zeros when the byte is 0. */
const contents = fc.array(
  fc.record({ at: fc.nat(499), blocks: fc.integer({ min: 1, max: 80 }), byte: fc.nat(3) }),
  { maxLength: 12 },
);
const sizes = fc.integer({ min: 1, max: 2 * MIB });
const blockSizes = fc.constantFrom(1, 512, 4096);

async function makeSource(
  sizeBytes: number,
  blockSize: number,
  stretches: readonly { at: number; blocks: number; byte: number }[],
): Promise<ScratchDrive> {
  const source = createScratchDrive('source', sizeBytes, { blockSize });
  for (const { at, blocks, byte } of stretches) {
    const offsetBytes = at * 4096;
    const lengthBytes = Math.min(blocks * 4096, sizeBytes - offsetBytes);
    if (lengthBytes > 0) await fillScratch(source, offsetBytes, Buffer.alloc(lengthBytes, byte));
  }
  return source;
}

async function copyAll(source: ScratchDrive, target: ScratchDrive, fromBytes: number): Promise<void> {
  const range = { offsetBytes: fromBytes, lengthBytes: source.sizeBytes - fromBytes };
  await copyRange({ source, target, range, buffer: Buffer.alloc(256 * KIB) }, createScratchHooks());
}

test('a copy has the bytes of the source and zeros behind them, whatever the block sizes', async () => {
  await fc.assert(
    fc.asyncProperty(contents, sizes, blockSizes, blockSizes, async (stretches, sizeBytes, from, to) => {
      const source = await makeSource(sizeBytes, from, stretches);
      const target = createScratchDrive('target', sizeBytes + 5000, { blockSize: to });
      await copyAll(source, target, 0);
      const copied = target.content();
      expect(copied.subarray(0, sizeBytes).equals(source.content())).toBe(true);
      expect(copied.subarray(sizeBytes).equals(Buffer.alloc(5000))).toBe(true);
    }),
    { numRuns: 60 },
  );
});

test('a copy that stopped at any write is completed from its checkpoint', async () => {
  await fc.assert(
    fc.asyncProperty(contents, fc.nat(8), fc.nat(2 * MIB), async (stretches, writes, doneBytes) => {
      const source = await makeSource(2 * MIB, 512, stretches);
      const target = createScratchDrive('target', 2 * MIB);
      target.failAfterWrites = writes;
      await copyAll(source, target, 0).catch(() => {});
      target.failAfterWrites = Infinity;
      // What is below the checkpoint was complete: make it so, as the earlier tasks had.
      const checkpointBytes = Math.floor(doneBytes / 4096) * 4096;
      await copyRange(
        {
          source,
          target,
          range: { offsetBytes: 0, lengthBytes: checkpointBytes },
          buffer: Buffer.alloc(64 * KIB),
        },
        createScratchHooks(),
      );
      await copyAll(source, target, checkpointBytes);
      expect(target.content().equals(source.content())).toBe(true);
    }),
    { numRuns: 40 },
  );
});

test('holes are not read and zeros are not written', async () => {
  const source = createScratchDrive('source', 64 * MIB);
  await fillScratch(source, 8 * MIB, Buffer.alloc(MIB, 1));
  await fillScratch(source, 32 * MIB, Buffer.alloc(MIB, 0));
  const target = createScratchDrive('target', 64 * MIB);
  await copyAll(source, target, 0);
  expect(source.counts.readBytes).toBe(2 * MIB);
  expect(target.counts.writtenBytes).toBe(MIB);
});

test('a hole of 100 GiB costs a few looks at the extents', async () => {
  const source = createScratchDrive('source', 100 * GIB);
  await fillScratch(source, 99 * GIB, Buffer.alloc(MIB, 1));
  const { tasks, nextOffsetBytes } = await planTasks(source, 0);
  expect(tasks).toHaveLength(1);
  expect(nextOffsetBytes).toBe(100 * GIB);
  expect(source.counts.extentCalls).toBeLessThan(50);
});

test('a copy that is told to stop writes nothing more', async () => {
  const source = createScratchDrive('source', MIB);
  await fillScratch(source, 0, Buffer.alloc(MIB, 1));
  const target = createScratchDrive('target', MIB);
  const hooks = createScratchHooks();
  hooks.stop();
  const range = { offsetBytes: 0, lengthBytes: MIB };
  const copying = copyRange({ source, target, range, buffer: Buffer.alloc(64 * KIB) }, hooks);
  await expect(copying).rejects.toThrow('stopped');
  expect(target.counts.writes).toBe(0);
});

test('tasks cover the drive, and everything below the checkpoint is done whatever the order', async () => {
  const source = createScratchDrive('source', 400 * MIB);
  for (let at = 0; at < 300; at += 2) await fillScratch(source, at * MIB, Buffer.alloc(MIB, 1));
  const schedule = createCopySchedule((fromBytes) => planTasks(source, fromBytes), {
    startBytes: 0,
    endBytes: source.sizeBytes,
  });
  const first = await schedule.next();
  const second = await schedule.next();
  const third = await schedule.next();
  if (first === null || second === null || third === null) throw new Error('Three tasks were expected.');
  expect(second.range.offsetBytes).toBe(first.range.lengthBytes);
  schedule.done(second);
  expect(schedule.doneBelowBytes).toBe(0);
  schedule.done(first);
  expect(schedule.doneBelowBytes).toBe(third.range.offsetBytes);
  schedule.done(third);
  for (let task = await schedule.next(); task !== null; task = await schedule.next()) schedule.done(task);
  expect(schedule.doneBelowBytes).toBe(source.sizeBytes);
});
