import { setTimeout as delay } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { EarlyFlush } from './early-flush.ts';

const MIB = 1024 * 1024;

test('a flush begins after every 64 MiB, one at a time', async () => {
  let flushes = 0;
  const flush = new EarlyFlush(async () => {
    flushes += 1;
    await delay(1);
  });
  flush.wrote(63 * MIB);
  expect(flushes).toBe(0);
  flush.wrote(MIB);
  flush.wrote(100 * MIB);
  expect(flushes).toBe(1);
  await flush.settle();
  flush.wrote(1);
  expect(flushes).toBe(2);
  await flush.settle();
});

test('what an early flush fails with is told at the end, although later ones succeed', async () => {
  const failures = [new Error('The disk is broken.')];
  const flush = new EarlyFlush(async () => {
    await delay(1);
    const failure = failures.pop();
    if (failure !== undefined) throw failure;
  });
  flush.wrote(64 * MIB);
  await delay(5);
  flush.wrote(64 * MIB);
  await expect(flush.settle()).rejects.toThrow('The disk is broken.');
});
