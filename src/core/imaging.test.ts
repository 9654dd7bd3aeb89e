import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { imagingClaim, imagingPercent } from './imaging.ts';

test('a percentage is whole, never goes back, and never reaches 100 while it runs', () => {
  fc.assert(
    fc.property(fc.nat(2 ** 50), fc.nat(2 ** 50), fc.nat(2 ** 50), (a, b, c) => {
      const [less, more, totalBytes] = [a, b, c].sort((x, y) => x - y) as [number, number, number];
      const before = imagingPercent({ doneBytes: less, totalBytes });
      const after = imagingPercent({ doneBytes: more, totalBytes });
      expect(Number.isInteger(before) && before >= 0 && after <= 99 && before <= after).toBe(true);
    }),
  );
  expect(imagingPercent({ doneBytes: 0, totalBytes: 0 })).toBe(0);
  expect(imagingPercent({ doneBytes: 37, totalBytes: 100 })).toBe(37);
  expect(imagingPercent({ doneBytes: 100, totalBytes: 100 })).toBe(99);
});

test('the token that source and target show as claimed has no space in it', () => {
  expect(imagingClaim({ jobId: 'b1946ac9-1111-4111-8111-111111111111' })).toMatch(/^\S+$/);
});
