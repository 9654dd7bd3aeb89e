import { assert, constantFrom, double, nat, property } from 'fast-check';
import { expect, test } from 'vitest';
import { GIB, MIB } from '../core/sizes.ts';
import { ChangeMap } from './change-map.ts';

function taken(map: ChangeMap): number[] {
  return [...map.take()].map(({ offsetBytes }) => offsetBytes / MIB);
}

test('a change marks every piece that it touches, and a piece is taken once', () => {
  const map = ChangeMap.forVolume(100 * MIB);
  const elsewhere = new ChangeMap(map.shared);
  elsewhere.mark({ offsetBytes: 3 * MIB - 1, lengthBytes: 2 });
  elsewhere.mark({ offsetBytes: 31 * MIB, lengthBytes: 2 * MIB });
  elsewhere.mark({ offsetBytes: 99 * MIB, lengthBytes: MIB });
  elsewhere.mark({ offsetBytes: 50 * MIB, lengthBytes: 0 });
  expect(map.markedBytes()).toBe(5 * MIB);
  expect(taken(map)).toEqual([2, 3, 31, 32, 99]);
  expect(map.markedBytes()).toBe(0);
  expect(taken(map)).toEqual([]);
});

test('a piece that is marked while others are taken is taken the next time at the latest', () => {
  const map = ChangeMap.forVolume(200 * MIB);
  map.mark({ offsetBytes: 0, lengthBytes: 1 });
  map.mark({ offsetBytes: 199 * MIB, lengthBytes: 1 });
  const seen: number[] = [];
  for (const { offsetBytes } of map.take()) {
    seen.push(offsetBytes / MIB);
    if (offsetBytes === 0) map.mark({ offsetBytes: 0, lengthBytes: 1 });
  }
  expect(seen).toEqual([0, 199]);
  expect(taken(map)).toEqual([0]);
});

test('whatever is marked is covered by what is taken, on volumes of any size', () => {
  const sizes = constantFrom(1, MIB, 33 * MIB + 5, 8192 * GIB + 1, 2 ** 50);
  const shares = double({ min: 0, max: 1, noNaN: true });
  const changes = property(sizes, shares, nat(5 * MIB), (sizeBytes, share, length) => {
    const map = ChangeMap.forVolume(sizeBytes);
    const offsetBytes = Math.floor((sizeBytes - 1) * share);
    const lengthBytes = Math.min(length + 1, sizeBytes - offsetBytes);
    map.mark({ offsetBytes, lengthBytes });
    const pieces = [...map.take()];
    expect(pieces[0]?.offsetBytes).toBeLessThanOrEqual(offsetBytes);
    const last = pieces.at(-1) ?? { offsetBytes: 0, lengthBytes: 0 };
    expect(last.offsetBytes + last.lengthBytes).toBeGreaterThanOrEqual(offsetBytes + lengthBytes);
    expect(map.shared.byteLength).toBeLessThanOrEqual(2 * MIB);
  });
  expect(() => assert(changes, { numRuns: 60 })).not.toThrow();
});
