import { randomUUID } from 'node:crypto';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { DriveError } from './errors.ts';
import { checkPlace, placeDrive, suits } from './placement.ts';
import type { PlacementPool, PlacementRequest } from './placement.ts';

const DRIVE = '11111111-1111-4111-8111-111111111111';

function pool(name: string, rest: Partial<PlacementPool> = {}): PlacementPool {
  const room = { totalBytes: 10_000, availableBytes: 1000, promisedBytes: 0 };
  return { name, domain: name, tier: null, isActive: true, ...room, ...rest };
}

function request(rest: Partial<PlacementRequest> = {}): PlacementRequest {
  return { driveId: DRIVE, sizeBytes: 1, tier: 'disk', avoid: [], ...rest };
}

function refusal(placement: () => PlacementPool): string {
  try {
    placement();
  } catch (error) {
    if (error instanceof DriveError && error.code === 'full') return error.message;
    throw error;
  }
  return 'placed';
}

describe('the choice', () => {
  test('is the pool that is the least full, and the first by name of equals', () => {
    expect(placeDrive(request(), [pool('a'), pool('b', { availableBytes: 2000 })]).name).toBe('b');
    expect(placeDrive(request(), [pool('b'), pool('a')]).name).toBe('a');
  });

  test('counts the drives that nothing has been written to yet', () => {
    const empty = { availableBytes: 10_000 };
    const pools = [
      pool('a', { ...empty, promisedBytes: 5000 }),
      pool('b', { ...empty, promisedBytes: 4000 }),
    ];
    expect(placeDrive(request(), pools).name).toBe('b');
  });

  test('goes by shares, so that a pool of twice the size takes twice as much', () => {
    const small = pool('a', { totalBytes: 1000, availableBytes: 1000, promisedBytes: 100 });
    const large = pool('b', { totalBytes: 2000, availableBytes: 2000, promisedBytes: 150 });
    expect(placeDrive(request(), [small, large]).name).toBe('b');
    expect(placeDrive(request(), [small, { ...large, promisedBytes: 250 }]).name).toBe('a');
  });

  test('passes over a pool that others have filled, however little is promised there', () => {
    const pools = [pool('a', { availableBytes: 10 }), pool('b', { promisedBytes: 9000 })];
    expect(placeDrive(request(), pools).name).toBe('b');
  });

  test('a drive may be larger than the room of its pool, because drives are thin', () => {
    expect(placeDrive(request({ sizeBytes: 1e12 }), [pool('a')]).name).toBe('a');
  });

  test('a pool with a tier takes drives of that tier only, and one without takes any', () => {
    const pools = [pool('fast', { tier: 'ssd', availableBytes: 5000 }), pool('slow', { tier: 'disk' })];
    expect(placeDrive(request({ tier: 'disk' }), pools).name).toBe('slow');
    expect(placeDrive(request({ tier: 'ssd' }), pools).name).toBe('fast');
    expect([suits({ tier: null }, 'ssd'), suits({ tier: null }, 'disk')]).toEqual([true, true]);
  });
});

describe('among many pools', () => {
  const many = (rest: (index: number) => Partial<PlacementPool>): PlacementPool[] =>
    Array.from({ length: 1000 }, (_, index) => pool(`p${String(index).padStart(4, '0')}`, rest(index)));

  test('the only one that may take the drive is found, whatever the drive is', () => {
    const pools = many((index) => ({ isActive: index === 777 }));
    fc.assert(
      fc.property(fc.uuid(), (driveId) => {
        expect(placeDrive(request({ driveId }), pools).name).toBe('p0777');
      }),
    );
  });

  test('a drive goes to the same pool every time, and different drives to different ones', () => {
    const pools = many(() => ({}));
    const placed = new Set<string>();
    fc.assert(
      fc.property(fc.uuid(), (driveId) => {
        const { name } = placeDrive(request({ driveId }), pools);
        expect(placeDrive(request({ driveId }), pools).name).toBe(name);
        placed.add(name);
      }),
      { numRuns: 300 },
    );
    expect(placed.size).toBeGreaterThan(100);
  });

  test('a pool that is fuller than most is not chosen', () => {
    const pools = many((index) => ({ promisedBytes: index % 10 === 0 ? 90_000 : 9000 }));
    for (let round = 0; round < 300; round += 1) {
      expect(placeDrive(request({ driveId: randomUUID() }), pools).promisedBytes).toBe(9000);
    }
  });
});

describe('the refusal says', () => {
  test('that no pool of the tier is configured', () => {
    const placement = () => placeDrive(request({ tier: 'ssd' }), [pool('a', { tier: 'disk' })]);
    expect(refusal(placement)).toBe('No pool of tier ssd is configured.');
  });

  test('which pools are inactive', () => {
    const placement = () => placeDrive(request(), [pool('a', { isActive: false })]);
    expect(refusal(placement)).toContain('pool a is inactive');
  });

  test('which pools are full', () => {
    const placement = () => placeDrive(request(), [pool('a', { availableBytes: 0 })]);
    expect(refusal(placement)).toContain('no room left in pool a');
  });

  test('which drive stands in the way and which domains have room', () => {
    const avoid = [{ driveId: DRIVE, poolName: 'a' }];
    const pools = [pool('a', { domain: 'rack1' }), pool('b', { domain: 'rack1' })];
    const sentence = refusal(() => placeDrive(request({ avoid }), pools));
    expect(sentence).toContain(`drive ${DRIVE} is in rack1`);
    expect(sentence).toContain('there is room only in domain rack1');
  });

  test('that a drive in a pool that is no longer configured cannot be avoided', () => {
    const avoid = [{ driveId: DRIVE, poolName: 'gone' }];
    expect(refusal(() => placeDrive(request({ avoid }), [pool('a')]))).toContain(
      'pool gone is not configured',
    );
  });
});

describe('whatever the pools and the request are', () => {
  const pools = fc.uniqueArray(
    fc.record({
      name: fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f'),
      domain: fc.constantFrom('rack1/host1', 'rack1/host2', 'rack2/host1'),
      tier: fc.constantFrom('disk' as const, 'ssd' as const, null),
      isActive: fc.boolean(),
      totalBytes: fc.constantFrom(5, 10),
      availableBytes: fc.nat(5),
      promisedBytes: fc.nat(20),
    }),
    { selector: ({ name }) => name },
  );
  const requests = fc.record({
    driveId: fc.uuid(),
    sizeBytes: fc.integer({ min: 1, max: 10 }),
    tier: fc.constantFrom('disk' as const, 'ssd' as const),
    avoid: fc.array(fc.record({ driveId: fc.uuid(), poolName: fc.constantFrom('a', 'b', 'c', 'gone') }), {
      maxLength: 3,
    }),
  });

  /** The same promise, said the slow way. */
  function allowed(
    { tier, avoid }: PlacementRequest,
    views: readonly PlacementPool[],
  ): readonly PlacementPool[] {
    const domains = new Map(views.map(({ name, domain }) => [name, domain]));
    const avoided = new Set(avoid.map(({ poolName }) => domains.get(poolName) ?? null));
    if (avoided.has(null)) return [];
    return views.filter(
      (view) =>
        view.isActive &&
        view.availableBytes > 0 &&
        (view.tier === null || view.tier === tier) &&
        !avoided.has(view.domain),
    );
  }

  function share({ totalBytes, availableBytes, promisedBytes }: PlacementPool, sizeBytes: number): number {
    return Math.max((totalBytes - availableBytes) / totalBytes, (promisedBytes + sizeBytes) / totalBytes);
  }

  test('a drive is placed exactly when a pool may take it, and on the one that is the least full', () => {
    fc.assert(
      fc.property(requests, pools, (wanted, views) => {
        const candidates = allowed(wanted, views);
        const shares = candidates.map((view) => share(view, wanted.sizeBytes));
        const least = Math.min(...shares);
        const best = candidates.filter((_view, index) => shares[index] === least).map(({ name }) => name);
        const outcome = refusalOrName(wanted, views);
        expect(outcome).toBe(best.sort()[0] ?? 'refused');
      }),
      { numRuns: 1000 },
    );
  });

  test('the order of the pools makes no difference', () => {
    fc.assert(
      fc.property(requests, pools, (wanted, views) => {
        expect(refusalOrName(wanted, views.toReversed())).toBe(refusalOrName(wanted, views));
      }),
    );
  });

  function refusalOrName(wanted: PlacementRequest, views: readonly PlacementPool[]): string {
    try {
      return placeDrive(wanted, views).name;
    } catch (error) {
      if (error instanceof DriveError && error.code === 'full') return 'refused';
      throw error;
    }
  }
});

describe('one pool that is asked for', () => {
  const pools = [pool('a', { domain: 'x' }), pool('b', { domain: 'x' }), pool('c', { tier: 'ssd' })];

  function check(rest: Partial<Parameters<typeof checkPlace>[0]>): string {
    try {
      checkPlace({ ...request(), poolName: 'a', neededBytes: 1, ...rest }, pools);
    } catch (error) {
      if (error instanceof DriveError) return `${error.code}: ${error.message}`;
      throw error;
    }
    return 'taken';
  }

  test('takes what fits, by the bytes that the drive holds and not by its size', () => {
    expect(check({ sizeBytes: 2 ** 40, neededBytes: 1000 })).toBe('taken');
    expect(check({ neededBytes: 1001 })).toMatch(
      /^full: .* takes 1001 bytes, and pool a has room for 1000\.$/,
    );
  });

  test('must be there, be active, and be of the tier', () => {
    expect(check({ poolName: 'd' })).toBe('missing: Pool d could not be found.');
    pools.push(pool('away', { isActive: false }));
    expect(check({ poolName: 'away' })).toBe('system: Pool away is inactive.');
    expect(check({ poolName: 'c' })).toMatch(
      /^full: Pool c is of tier ssd, and drive .* would be of tier disk: /,
    );
  });

  test('is refused while a drive that is to be avoided lies in its domain, or nobody knows where that lies', () => {
    const avoid = (poolName: string) => [{ driveId: 'other', poolName }];
    expect(check({ avoid: avoid('c') })).toBe('taken');
    expect(check({ avoid: avoid('b') })).toMatch(/^full: No placement satisfies avoid: drive other is in x/);
    expect(check({ avoid: avoid('lost') })).toMatch(/^full: .* its pool lost is not configured/);
  });
});
