import { expect, test } from 'vitest';
import type { PlacementPool } from '../core/placement.ts';
import type { Usage } from '../core/user.ts';
import { createPoolLoads } from './pool-loads.ts';

function scratchLoads(usage: Map<string, Usage>) {
  const clock = { nowMs: 0 };
  const failures: unknown[] = [];
  let reads = 0;
  let failure: Error | null = null;
  const view = { domain: 'd', tier: null, isActive: true, totalBytes: 1000, availableBytes: 1000 };
  const drives = {
    usageByPool: () => {
      reads += 1;
      return failure === null ? Promise.resolve(usage) : Promise.reject(failure);
    },
  };
  const loads = createPoolLoads({
    metadata: { drives } as never,
    pools: { views: () => ['a', 'b'].map((name) => ({ ...view, name })) },
    poolOwners: { list: () => [{ poolName: 'c', nodeId: 'n', domain: 'e', node: {} as never }] },
    now: () => clock.nowMs,
    reportFailure: (error) => failures.push(error),
  });
  const own = async (): Promise<readonly PlacementPool[]> => (await loads.places()).slice(0, 2);
  const promised = async (): Promise<readonly number[]> =>
    (await own()).map(({ promisedBytes }: PlacementPool) => promisedBytes);
  return {
    loads,
    promised,
    clock,
    failures,
    reads: () => reads,
    fail(error: Error | null) {
      failure = error;
    },
  };
}

test('what is placed counts at once, and what the database says counts from its next reading on', async () => {
  const usage = new Map([['a', { drives: 1, sizeBytes: 100 }]]);
  const { loads, promised, clock, reads } = scratchLoads(usage);
  expect(await promised()).toEqual([100, 0]);
  loads.add('b', 70);
  expect(await promised()).toEqual([100, 70]);
  usage.set('a', { drives: 2, sizeBytes: 300 });
  usage.set('b', { drives: 1, sizeBytes: 60 });
  clock.nowMs = 60_000;
  expect(await promised()).toEqual([100, 70]);
  expect(reads()).toBe(1);
  clock.nowMs = 60_001;
  await promised();
  await Promise.resolve();
  expect(await promised()).toEqual([300, 60]);
  expect(reads()).toBe(2);
});

test('when the database cannot be read, placement goes on with what is known, and the log says so', async () => {
  const { promised, clock, failures, fail } = scratchLoads(new Map([['a', { drives: 1, sizeBytes: 5 }]]));
  await promised();
  clock.nowMs = 100_000;
  const error = new Error('away');
  fail(error);
  expect(await promised()).toEqual([5, 0]);
  await new Promise((resolve) => {
    setImmediate(resolve);
  });
  expect(failures).toEqual([error]);
  fail(null);
  expect(await promised()).toEqual([5, 0]);
});

test('the pools of other nodes are there to be avoided, and take no drive', async () => {
  const { loads } = scratchLoads(new Map());
  expect((await loads.places())[2]).toMatchObject({
    name: 'c',
    domain: 'e',
    isActive: false,
    availableBytes: 0,
  });
});
