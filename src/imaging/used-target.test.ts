import { expect, test } from 'vitest';
import type { ImagingJob } from '../core/imaging.ts';
import { MIB } from '../core/sizes.ts';
import { createBench, fillNoise, fillUsed, ROOM, untilEmpty } from './scratch-bench.ts';
import type { Bench } from './scratch-bench.ts';
import { fillScratch, holdSame } from './scratch-drive.ts';

async function imageTarget(bench: Bench, job: Partial<ImagingJob> = {}): Promise<void> {
  bench.queue.addJob({ source: 'source', target: 'target', ...job });
  await bench.runner().start();
  await untilEmpty(bench.queue);
}

test('room in the pool is asked for what the target has no space for yet', async () => {
  const bench = createBench();
  const source = bench.add('source', 80 * MIB);
  await fillNoise(source, 80 * MIB);
  const target = bench.add('target', 80 * MIB);
  await fillUsed(target, 50 * MIB);
  bench.queue.addJob({ source: 'source', target: 'target' });
  let admittedBytes = 0;
  const admit = (_pool: string, lengthBytes: number): Promise<() => void> => {
    admittedBytes += lengthBytes;
    return Promise.resolve(() => {});
  };
  await bench.runner({ pools: { statusOf: () => ROOM, admit, refresh: () => Promise.resolve() } }).start();
  await untilEmpty(bench.queue);
  expect(await holdSame(target, source)).toBe(true);
  expect(admittedBytes).toBe(30 * MIB);
});

test.each([
  { isRemote: false, isEncrypted: true, conversion: 'plain' as const, heldBytes: 2 * MIB },
  { isRemote: false, isEncrypted: false, conversion: 'plain' as const, heldBytes: 0 },
  { isRemote: true, isEncrypted: true, conversion: 'plain' as const, heldBytes: 0 },
  { isRemote: false, isEncrypted: true, conversion: 'gzip' as const, heldBytes: 0 },
])('before the first write a target holds only what is written over: %o', async (each) => {
  const bench = createBench();
  bench.isEncrypted = each.isEncrypted;
  await fillNoise(bench.add('source', 4 * MIB), 2 * MIB);
  const target = bench.add('target', 4 * MIB, 'default', each.isRemote);
  await fillUsed(target);
  bench.queue.addJob({ source: 'source', target: 'target', conversion: each.conversion });
  const expected = Buffer.alloc(4 * MIB);
  target.content().copy(expected, 0, 0, each.heldBytes);
  const found: boolean[] = [];
  bench.onOperation = ({ op }) => {
    if (op === 'measure') found.push(target.content().equals(expected));
  };
  await bench.runner().start();
  await untilEmpty(bench.queue);
  expect(found).toEqual([true]);
});

test('an imaging looks once at where its drives have data', async () => {
  const bench = createBench();
  const source = bench.add('source', 60 * MIB);
  await fillNoise(source, 50 * MIB);
  const target = bench.add('target', 60 * MIB);
  await fillUsed(target);
  await imageTarget(bench);
  expect(await holdSame(target, source)).toBe(true);
  expect(source.counts.extentCalls).toBe(1);
  expect(target.counts.extentCalls).toBe(1);
});

test('a source that is zeros where the target holds data leaves zeros there', async () => {
  const bench = createBench();
  const source = bench.add('source', 4 * MIB);
  await source.device.write(0, Buffer.alloc(4 * MIB));
  const [dataStart, dataEnd] = [1.5 * MIB + 65_536, 2 * MIB - 65_536];
  await fillScratch(source, dataStart, Buffer.alloc(dataEnd - dataStart, 1));
  const target = bench.add('target', 4 * MIB);
  await fillUsed(target);
  await imageTarget(bench);
  expect(await holdSame(target, source)).toBe(true);
  expect(await target.device.extents({ offsetBytes: 0, lengthBytes: 4 * MIB })).toEqual([
    { kind: 'zero', offsetBytes: 0, lengthBytes: dataStart },
    { kind: 'data', offsetBytes: dataStart, lengthBytes: dataEnd - dataStart },
    { kind: 'zero', offsetBytes: dataEnd, lengthBytes: 4 * MIB - dataEnd },
  ]);
});

test.each([
  { isRemote: false, zeros: 1 },
  { isRemote: true, zeros: 0 },
])('a copy that goes on makes zeros only where the target was not emptied before: %o', async (each) => {
  const bench = createBench();
  const source = bench.add('source', 4 * MIB);
  await source.device.write(0, Buffer.alloc(MIB));
  const target = bench.add('target', 4 * MIB, 'default', each.isRemote);
  await imageTarget(bench, { checkpointBytes: 0 });
  expect(await holdSame(target, source)).toBe(true);
  expect(target.counts.zeros).toBe(each.zeros);
});
