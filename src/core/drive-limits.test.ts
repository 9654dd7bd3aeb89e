import { expect, test } from 'vitest';
import { changeLimits, NO_LIMITS } from './drive-limits.ts';

const SET = { iops: 100, iopsBurst: 200, bytesPerSecond: 1000, burstBytes: 5000 };

test('only the limits that are given change, and null removes one', () => {
  expect(changeLimits(NO_LIMITS, { iops: 5 })).toEqual({ ...NO_LIMITS, iops: 5 });
  expect(changeLimits(SET, {})).toEqual(SET);
  expect(changeLimits(SET, { iopsBurst: null, bytesPerSecond: 7 })).toEqual({
    ...SET,
    iopsBurst: null,
    bytesPerSecond: 7,
  });
});

test('a burst goes with the rate that it belongs to', () => {
  expect(changeLimits(SET, { iops: null })).toEqual({ ...SET, iops: null, iopsBurst: null });
  expect(changeLimits(SET, { bytesPerSecond: null })).toEqual({
    ...SET,
    bytesPerSecond: null,
    burstBytes: null,
  });
});
