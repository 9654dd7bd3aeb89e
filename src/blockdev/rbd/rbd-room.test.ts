import { expect, test } from 'vitest';
import { roomOf } from './rbd-room.ts';

const room = (stats: { stored: number; max_avail: number; quota_bytes: number }) =>
  roomOf(
    JSON.stringify({
      pools: [
        { name: 'other', stats: {} },
        { name: 'drives', stats },
      ],
    }),
    'drives',
  );

test('the room is what the cluster can take in, and what it holds already', () => {
  expect(room({ stored: 30, max_avail: 70, quota_bytes: 0 })).toEqual({ totalBytes: 100, freeBytes: 70 });
});

test('a quota counts where it is smaller', () => {
  expect(room({ stored: 30, max_avail: 70, quota_bytes: 50 })).toEqual({ totalBytes: 50, freeBytes: 20 });
  expect(room({ stored: 30, max_avail: 10, quota_bytes: 50 })).toEqual({ totalBytes: 40, freeBytes: 10 });
  expect(room({ stored: 60, max_avail: 10, quota_bytes: 50 })).toEqual({ totalBytes: 50, freeBytes: 0 });
});

test('a pool that the statistics do not know is an error', () => {
  expect(() => roomOf('{"pools":[]}', 'drives')).toThrow('no pool drives');
});
