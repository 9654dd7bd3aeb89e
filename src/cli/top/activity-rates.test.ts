import { expect, test } from 'vitest';
import { inOrder, ratesBetween } from './activity-rates.ts';
import type { DriveRates } from './activity-rates.ts';

const NOTHING = {
  connections: '0',
  'read:requests': '0',
  'read:bytes': '0',
  'read:us': '0',
  'write:requests': '0',
  'write:bytes': '0',
  'write:us': '0',
  'flush:requests': '0',
  'flush:us': '0',
};
const IDLE = { requestsPerSecond: 0, bytesPerSecond: 0, latencyMs: null };

function ratesOf(
  before: readonly Record<string, string>[],
  after: readonly Record<string, string>[],
  elapsedMs = 2000,
): DriveRates[] {
  const infos = (all: readonly Record<string, string>[]) => all.map((info) => ({ ...NOTHING, ...info }));
  return ratesBetween({ atMs: 1000, infos: infos(before) }, { atMs: 1000 + elapsedMs, infos: infos(after) });
}

test('rates are the difference of two looks over the time between them, with the mean latency', () => {
  const before = { drive: 'a', 'read:requests': '10', 'read:bytes': '1000', 'read:us': '500' };
  const after = {
    drive: 'a',
    name: 'web',
    connections: '3',
    'read:requests': '14',
    'read:bytes': '9000',
    'read:us': '8500',
    'flush:requests': '1',
    'flush:us': '12000',
  };
  expect(ratesOf([before], [after])).toEqual([
    {
      drive: 'a',
      name: 'web',
      user: null,
      connections: 3,
      read: { requestsPerSecond: 2, bytesPerSecond: 4000, latencyMs: 2 },
      write: IDLE,
      flush: { requestsPerSecond: 0.5, bytesPerSecond: 0, latencyMs: 12 },
      all: { requestsPerSecond: 2.5, bytesPerSecond: 4000, latencyMs: 4 },
    },
  ]);
});

test('a drive that was not there before began at nothing, and one that is gone is not shown', () => {
  const rates = ratesOf([{ drive: 'gone' }], [{ drive: 'new', 'write:requests': '4', 'write:us': '4000' }]);
  expect(rates).toMatchObject([{ drive: 'new', write: { requestsPerSecond: 2, latencyMs: 1 }, read: IDLE }]);
});

test.each(['read:requests', 'write:bytes', 'flush:us'])(
  'a drive whose %s went down begins anew, in all its figures',
  (figure) => {
    const rates = ratesOf(
      [{ drive: 'a', 'read:requests': '5', [figure]: '9' }],
      [{ drive: 'a', 'read:requests': '6', 'read:us': '600', [figure]: '8' }],
    );
    const requests = figure === 'read:requests' ? 8 : 6;
    expect(rates[0]?.read.requestsPerSecond).toBe(requests / 2);
  },
);

test('two looks at the same time give numbers', () => {
  const [rates] = ratesOf([], [{ drive: 'a', 'read:requests': '1' }], 0);
  expect(Number.isFinite(rates?.all.requestsPerSecond)).toBe(true);
});

test('the most comes first, what is equal by its UUID, and what did nothing last', () => {
  const rates = ratesOf(
    [],
    [
      { drive: 'idle' },
      { drive: 'c-large', 'read:requests': '1', 'read:bytes': '100', 'read:us': '5' },
      { drive: 'b-quick', 'read:requests': '4', 'read:us': '4' },
      { drive: 'b-again', 'read:requests': '2', 'write:requests': '2', 'read:us': '4' },
      { drive: 'd-slow', 'flush:requests': '1', 'flush:us': '90' },
    ],
  );
  const order = (by: 'iops' | 'bytes' | 'latency') => inOrder(rates, by).map(({ drive }) => drive);
  expect(order('iops')).toEqual(['b-again', 'b-quick', 'c-large', 'd-slow', 'idle']);
  expect(order('bytes')).toEqual(['c-large', 'b-again', 'b-quick', 'd-slow', 'idle']);
  expect(order('latency')).toEqual(['d-slow', 'c-large', 'b-again', 'b-quick', 'idle']);
});
