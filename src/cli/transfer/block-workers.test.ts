import { expect, test } from 'vitest';
import { BLOCK_BYTES } from '../api/drive-api.ts';
import { forEachBlock } from './block-workers.ts';

test('each block goes by once, in memory that was asked for in large pages and that no other worker has', async () => {
  const asked: ArrayBuffer[] = [];
  const seen: { number: number; sizeBytes: number }[] = [];
  const inUse = new Set<number>();
  const options = {
    driveBytes: 5 * BLOCK_BYTES + 100,
    parallel: 3,
    interruption: { hasHappened: false },
    preferHugePages: (buffer: ArrayBuffer) => void asked.push(buffer),
  };
  await forEachBlock(options, async ({ number, sizeBytes, buffer }) => {
    expect(buffer.buffer).toBe(asked[0]);
    expect(buffer).toHaveLength(sizeBytes);
    expect(inUse.has(buffer.byteOffset)).toBe(false);
    inUse.add(buffer.byteOffset);
    await new Promise(setImmediate);
    inUse.delete(buffer.byteOffset);
    seen.push({ number, sizeBytes });
  });
  expect(asked.map(({ byteLength }) => byteLength)).toEqual([3 * BLOCK_BYTES]);
  const sorted = seen.toSorted((one, other) => one.number - other.number);
  expect(sorted).toEqual([
    ...[0, 1, 2, 3, 4].map((number) => ({ number, sizeBytes: BLOCK_BYTES })),
    { number: 5, sizeBytes: 100 },
  ]);
});

test('nothing more is begun once it is interrupted, or after a failure', async () => {
  const interruption = { hasHappened: false };
  const options = { driveBytes: 10 * BLOCK_BYTES, parallel: 1, interruption };
  const begun: number[] = [];
  await forEachBlock(options, async ({ number }) => {
    begun.push(number);
    interruption.hasHappened = number === 2;
  });
  expect(begun).toEqual([0, 1, 2]);
  interruption.hasHappened = false;
  const failing = forEachBlock({ ...options, parallel: 2 }, async ({ number }) => {
    begun.push(number);
    if (number === 1) throw new Error('It failed.');
  });
  await expect(failing).rejects.toThrow('It failed.');
  expect(begun.length).toBeLessThan(8);
});
