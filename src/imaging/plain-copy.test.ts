import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Range } from '../blockdev/block-device.ts';
import { GIB, MIB } from '../core/sizes.ts';
import { createCopySchedule } from './copy-schedule.ts';
import { createDataMap } from './data-map.ts';
import { emptyAroundData } from './empty-target.ts';
import { copyStretches, planTasks } from './plain-copy.ts';
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

type Stretches = readonly { at: number; blocks: number; byte: number }[];

async function makeSource(sizeBytes: number, blockSize: number, stretches: Stretches): Promise<ScratchDrive> {
  const source = createScratchDrive('source', sizeBytes, { blockSize });
  await fill(source, stretches);
  return source;
}

async function fill(drive: ScratchDrive, stretches: Stretches): Promise<void> {
  for (const { at, blocks, byte } of stretches) {
    const offsetBytes = at * 4096;
    const lengthBytes = Math.min(blocks * 4096, drive.sizeBytes - offsetBytes);
    if (lengthBytes > 0) await fillScratch(drive, offsetBytes, Buffer.alloc(lengthBytes, byte));
  }
}

/** Copies the range, or everything, as the threads of an imaging do. */
async function copy(drives: ScratchCopy, range?: Range): Promise<void> {
  const { source } = drives;
  const whole = { offsetBytes: 0, lengthBytes: source.sizeBytes };
  const stretches = await Array.fromAsync(createDataMap(source).stretches(range ?? whole));
  await copyStretches({ ...drives, stretches }, Buffer.alloc(256 * KIB), createScratchHooks());
}

async function emptyAround(
  source: ScratchDrive,
  target: ScratchDrive,
  hooks = createScratchHooks(),
): Promise<boolean> {
  return await emptyAroundData({ source: createDataMap(source), target: createDataMap(target) }, hooks);
}

/** What is left of 2 MiB. */
function restFrom(offsetBytes: number): Range {
  return { offsetBytes, lengthBytes: 2 * MIB - offsetBytes };
}

interface ScratchCopy {
  readonly source: ScratchDrive;
  readonly target: ScratchDrive;
  readonly isEmptied: boolean;
}

test('a copy has the bytes of the source and zeros behind them, whatever the block sizes', async () => {
  await fc.assert(
    fc.asyncProperty(contents, sizes, blockSizes, blockSizes, async (stretches, sizeBytes, from, to) => {
      const source = await makeSource(sizeBytes, from, stretches);
      const target = createScratchDrive('target', sizeBytes + 5000, { blockSize: to });
      await copy({ source, target, isEmptied: true });
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
      await copy({ source, target, isEmptied: true }).catch(() => {});
      target.failAfterWrites = Infinity;
      // What is below the checkpoint was complete: make it so, as the earlier tasks had.
      const checkpointBytes = Math.floor(doneBytes / 4096) * 4096;
      const done = { offsetBytes: 0, lengthBytes: checkpointBytes };
      await copy({ source, target, isEmptied: false }, done);
      await copy({ source, target, isEmptied: false }, restFrom(checkpointBytes));
      expect(target.content().equals(source.content())).toBe(true);
    }),
    { numRuns: 40 },
  );
});

test('a target that held something has the bytes of the source and zeros everywhere else', async () => {
  await fc.assert(
    fc.asyncProperty(
      contents,
      contents,
      sizes,
      blockSizes,
      blockSizes,
      async (data, held, size, from, to) => {
        const source = await makeSource(size, from, data);
        const target = createScratchDrive('target', size + 50_000, { blockSize: to });
        await fill(target, held);
        const isEmptied = await emptyAround(source, target);
        await copy({ source, target, isEmptied });
        const copied = target.content();
        expect(copied.subarray(0, size).equals(source.content())).toBe(true);
        expect(copied.subarray(size).equals(Buffer.alloc(50_000))).toBe(true);
      },
    ),
    { numRuns: 200 },
  );
});

test('a copy over what a target held is completed from its checkpoint, wherever it stopped', async () => {
  await fc.assert(
    fc.asyncProperty(contents, contents, fc.nat(8), fc.nat(512), async (data, held, writes, doneBlocks) => {
      const source = await makeSource(2 * MIB, 512, data);
      const target = createScratchDrive('target', 2 * MIB);
      await fill(target, held);
      const isEmptied = await emptyAround(source, target);
      const checkpointBytes = doneBlocks * 4096;
      const done = { offsetBytes: 0, lengthBytes: checkpointBytes };
      await copy({ source, target, isEmptied }, done);
      target.failAfterWrites = target.counts.writes + writes;
      await copy({ source, target, isEmptied }, restFrom(checkpointBytes)).catch(() => {});
      target.failAfterWrites = Infinity;
      await copy({ source, target, isEmptied: false }, restFrom(checkpointBytes));
      expect(target.content().equals(source.content())).toBe(true);
    }),
    { numRuns: 100 },
  );
});

test('what a target holds where the source has data is left to be written over, and room is asked for the rest alone', async () => {
  const source = await makeSource(64 * MIB, 512, [{ at: 0, blocks: 10 * 256, byte: 1 }]);
  const target = await makeSource(64 * MIB, 512, [
    { at: 6 * 256, blocks: 8 * 256, byte: 2 },
    { at: 40 * 256, blocks: 1, byte: 2 },
  ]);
  const isEmptied = await emptyAround(source, target);
  expect(isEmptied).toBe(false);
  expect(
    target
      .content()
      .subarray(6 * MIB, 10 * MIB)
      .equals(Buffer.alloc(4 * MIB, 2)),
  ).toBe(true);
  expect(
    target
      .content()
      .subarray(10 * MIB)
      .equals(Buffer.alloc(54 * MIB)),
  ).toBe(true);
  const { tasks } = await planTasks({ source: createDataMap(source), target: createDataMap(target) }, 0);
  expect(tasks.map(({ newBytes }) => newBytes)).toEqual([6 * MIB]);
});

test('a target that holds nothing where the source has data is empty afterwards', async () => {
  const source = await makeSource(8 * MIB, 512, [{ at: 0, blocks: 256, byte: 1 }]);
  const target = await makeSource(8 * MIB, 512, [{ at: 256, blocks: 256, byte: 2 }]);
  expect(await emptyAround(source, target)).toBe(true);
  expect(target.counts.flushes).toBe(1);
  expect(target.content().equals(Buffer.alloc(8 * MIB))).toBe(true);
});

test('emptying that is told to stop changes nothing more', async () => {
  const source = await makeSource(8 * MIB, 512, []);
  const target = await makeSource(8 * MIB, 512, [{ at: 256, blocks: 256, byte: 2 }]);
  const hooks = createScratchHooks();
  hooks.stop();
  await expect(emptyAround(source, target, hooks)).rejects.toThrow('stopped');
  expect(
    target
      .content()
      .subarray(MIB, 2 * MIB)
      .equals(Buffer.alloc(MIB, 2)),
  ).toBe(true);
});

test('holes are not read and zeros are not written', async () => {
  const source = createScratchDrive('source', 64 * MIB);
  await fillScratch(source, 8 * MIB, Buffer.alloc(MIB, 1));
  await fillScratch(source, 32 * MIB, Buffer.alloc(MIB, 0));
  const target = createScratchDrive('target', 64 * MIB);
  await copy({ source, target, isEmptied: true });
  expect(source.counts.readBytes).toBe(2 * MIB);
  expect(target.counts.writtenBytes).toBe(MIB);
});

test('a hole of 100 GiB costs a few looks at the extents', async () => {
  const source = createScratchDrive('source', 100 * GIB);
  await fillScratch(source, 99 * GIB, Buffer.alloc(MIB, 1));
  const { tasks, nextOffsetBytes } = await planTasks({ source: createDataMap(source), target: null }, 0);
  expect(tasks).toHaveLength(1);
  expect(nextOffsetBytes).toBe(100 * GIB);
  expect(source.counts.extentCalls).toBeLessThan(50);
});

test('a drive of many fragments is planned a few stretches at a time', async () => {
  const source = createScratchDrive('source', 256 * MIB);
  for (let block = 0; block < 40_000; block += 2)
    await fillScratch(source, block * 4096, Buffer.alloc(512, 1));
  const data = createDataMap(source);
  const planned: Range[] = [];
  let fromBytes = 0;
  let plans = 0;
  for (; fromBytes < source.sizeBytes; plans += 1) {
    const { tasks, nextOffsetBytes } = await planTasks({ source: data, target: null }, fromBytes);
    for (const { range, stretches } of tasks) {
      expect(range.offsetBytes).toBe(fromBytes);
      fromBytes += range.lengthBytes;
      planned.push(...stretches);
    }
    fromBytes = nextOffsetBytes;
  }
  expect(plans).toBe(2);
  const whole = { offsetBytes: 0, lengthBytes: source.sizeBytes };
  expect(planned).toEqual(await Array.fromAsync(createDataMap(source).stretches(whole)));
});

test('a copy that is told to stop writes nothing more', async () => {
  const source = createScratchDrive('source', MIB);
  await fillScratch(source, 0, Buffer.alloc(MIB, 1));
  const target = createScratchDrive('target', MIB);
  const hooks = createScratchHooks();
  hooks.stop();
  const stretches = [{ offsetBytes: 0, lengthBytes: MIB }];
  const copying = copyStretches(
    { source, target, isEmptied: true, stretches },
    Buffer.alloc(64 * KIB),
    hooks,
  );
  await expect(copying).rejects.toThrow('stopped');
  expect(target.counts.writes).toBe(0);
});

test('tasks cover the drive, and everything below the checkpoint is done whatever the order', async () => {
  const source = createScratchDrive('source', 400 * MIB);
  for (let at = 0; at < 300; at += 2) await fillScratch(source, at * MIB, Buffer.alloc(MIB, 1));
  const data = createDataMap(source);
  const schedule = createCopySchedule((fromBytes) => planTasks({ source: data, target: null }, fromBytes), {
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
