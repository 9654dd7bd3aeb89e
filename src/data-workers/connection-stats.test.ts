import { expect, test } from 'vitest';
import {
  addStats,
  CONNECTION_STATS_BYTES,
  IO_KINDS,
  LATENCY_BOUNDS,
  NO_STATS,
  readStats,
  StatsWriter,
  subtractStats,
} from './connection-stats.ts';

test('each kind is counted apart, with its bytes and its time', () => {
  const memory = new SharedArrayBuffer(CONNECTION_STATS_BYTES);
  const writer = new StatsWriter(memory);
  for (const [index] of IO_KINDS.entries()) {
    for (let times = 0; times <= index; times += 1) writer.count(index, 2 ** 40, 0.25);
  }
  const stats = readStats(memory);
  for (const [index, kind] of IO_KINDS.entries()) {
    const requests = index + 1;
    expect(stats[kind]).toMatchObject({ requests, bytes: requests * 2 ** 40, seconds: requests / 4 });
  }
});

test('a request is counted under the lowest bound that it did not exceed', () => {
  for (const seconds of [0, 1e-9, 0.5e-6, 16e-6, 16.1e-6, 32e-6, 0.001, 0.5, 1, 8, 8.3, 9, 4295, 1e6]) {
    const memory = new SharedArrayBuffer(CONNECTION_STATS_BYTES);
    new StatsWriter(memory).count(0, 0, seconds);
    const found = LATENCY_BOUNDS.findIndex((bound) => Math.ceil(seconds * 1e6) <= Math.round(bound * 1e6));
    const expected = found === -1 ? LATENCY_BOUNDS.length - 1 : found;
    expect([seconds, readStats(memory).read.histogram.indexOf(1)]).toEqual([seconds, expected]);
  }
});

test('figures are added and taken apart again', () => {
  const memory = new SharedArrayBuffer(CONNECTION_STATS_BYTES);
  const writer = new StatsWriter(memory);
  writer.count(0, 10, 0.001);
  const before = readStats(memory);
  writer.count(1, 20, 2);
  const after = readStats(memory);
  const since = subtractStats(after, before);
  expect([since.read.requests, since.write.bytes, since.write.seconds]).toEqual([0, 20, 2]);
  expect(addStats(before, since)).toEqual(after);
  expect(addStats(NO_STATS, after)).toEqual(after);
});
