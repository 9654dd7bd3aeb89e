import { expect, test } from 'vitest';
import { RATE_LIMIT_BYTES, RateLimit, writeRateLimits } from './rate-limit.ts';
import type { RateLimits } from './rate-limit.ts';

const NONE: RateLimits = { iops: null, iopsBurst: null, bytesPerSecond: null, burstBytes: null };

function scratchLimit(limits: Partial<RateLimits>) {
  const memory = new SharedArrayBuffer(RATE_LIMIT_BYTES);
  writeRateLimits(memory, { ...NONE, ...limits });
  const clock = { us: 1.7e15 };
  const change = (changed: Partial<RateLimits>): void => writeRateLimits(memory, { ...NONE, ...changed });
  return { clock, change, open: () => new RateLimit(memory, () => clock.us) };
}

/** How many requests of this size pass in so many seconds, each taken as soon as it may be. */
function passed(limit: RateLimit, clock: { us: number }, lengthBytes: number, seconds: number): number {
  const end = clock.us + seconds * 1e6;
  for (let count = 0; ; count += 1) {
    for (let waitMs = limit.take(lengthBytes); waitMs > 0; waitMs = limit.take(lengthBytes)) {
      clock.us += Math.max(1, waitMs * 1000);
      if (clock.us >= end) return count;
    }
  }
}

test('without limits nothing waits', () => {
  const limit = scratchLimit({}).open();
  for (let count = 0; count < 1000; count += 1) expect(limit.take(2 ** 30)).toBe(0);
});

test('requests pass at their rate after the burst, which is what a second allows when none is given', () => {
  const { clock, open } = scratchLimit({ iops: 100 });
  expect(passed(open(), clock, 4096, 10)).toBeGreaterThanOrEqual(1099);
  const small = scratchLimit({ iops: 100, iopsBurst: 10 });
  const count = passed(small.open(), small.clock, 4096, 10);
  expect(count).toBeGreaterThanOrEqual(1000);
  expect(count).toBeLessThanOrEqual(1011);
});

test('bytes pass at their rate whatever the size of the requests, also one larger than the burst', () => {
  for (const lengthBytes of [512, 4096, 2 ** 20, 2 ** 25]) {
    const { clock, open } = scratchLimit({ bytesPerSecond: 2 ** 23, burstBytes: 2 ** 20 });
    const bytes = passed(open(), clock, lengthBytes, 60) * lengthBytes;
    expect(bytes).toBeGreaterThan(0.93 * 60 * 2 ** 23);
    expect(bytes).toBeLessThanOrEqual(60 * 2 ** 23 + 2 ** 20 + 2 * lengthBytes);
  }
});

test('a pause fills the budget up to the burst and no further', () => {
  const { clock, open } = scratchLimit({ iops: 10, iopsBurst: 5 });
  const limit = open();
  clock.us += 3600e6;
  for (let count = 0; count < 5; count += 1) expect(limit.take(1)).toBe(0);
  expect(limit.take(1)).toBeCloseTo(100, 0);
});

test('two threads draw on one budget', () => {
  const { clock, open } = scratchLimit({ iops: 100, iopsBurst: 10 });
  const [one, other] = [open(), open()];
  let count = 0;
  for (const end = clock.us + 5e6; clock.us < end; clock.us += 1000) {
    if (one.take(1) === 0) count += 1;
    if (other.take(1) === 0) count += 1;
  }
  expect(count).toBeGreaterThanOrEqual(500);
  expect(count).toBeLessThanOrEqual(511);
});

test('what was refused costs nothing, under one limit or the other', () => {
  const { open } = scratchLimit({ iops: 10, iopsBurst: 2, bytesPerSecond: 1000, burstBytes: 1000 });
  const limit = open();
  expect(limit.take(1000)).toBe(0);
  for (let count = 0; count < 100; count += 1) expect(limit.take(1)).toBeGreaterThan(0);
  expect(limit.take(0)).toBe(0);
});

test('a limit that was raised, lowered or removed holds at once', () => {
  const { change, open } = scratchLimit({ bytesPerSecond: 1000 });
  const limit = open();
  expect(limit.take(3_600_000)).toBe(0);
  expect(limit.take(1)).toBeGreaterThan(3_000_000);
  change({ bytesPerSecond: 2 ** 30 });
  expect(limit.take(1)).toBe(0);
  change({ iops: 1 });
  expect([limit.take(1), limit.take(1) > 0]).toEqual([0, true]);
  change({});
  expect(limit.take(2 ** 30)).toBe(0);
});

test('limits that are written again as they were leave what has been spent', () => {
  const { change, open } = scratchLimit({ iops: 1 });
  const limit = open();
  expect(limit.take(1)).toBe(0);
  change({ iops: 1 });
  expect(limit.take(1)).toBeGreaterThan(0);
});
