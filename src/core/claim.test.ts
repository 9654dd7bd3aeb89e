import { expect, test } from 'vitest';
import { claimsInTheWay, describeHolders, hasExpired, isWrittenExclusively, liveClaims } from './claim.ts';
import type { Claim } from './claim.ts';

function claimOf(serverId: string, change: Partial<Claim> = {}): Claim {
  return {
    driveId: 'drive',
    serverId,
    access: 'rw',
    epoch: 1,
    secretHash: new Uint8Array(32),
    claimedAtMs: 0,
    leaseMs: null,
    expiresAtMs: null,
    ...change,
  };
}

test('a lease has run out at its very end, and a claim without one never', () => {
  expect(hasExpired({ expiresAtMs: 1000 }, 999)).toBe(false);
  expect(hasExpired({ expiresAtMs: 1000 }, 1000)).toBe(true);
  expect(hasExpired({ expiresAtMs: null }, Number.MAX_SAFE_INTEGER)).toBe(false);
  const [ended, held] = [claimOf('a', { expiresAtMs: 5 }), claimOf('b')];
  expect(liveClaims([ended, held], 5)).toEqual([held]);
});

test('another server stands in the way of an exclusive drive, and nobody in that of a shared one', () => {
  const claims = [claimOf('a')];
  expect(claimsInTheWay(claims, { claimType: 'exclusive', serverId: 'b' })).toEqual(claims);
  expect(claimsInTheWay(claims, { claimType: 'exclusive', serverId: 'a' })).toEqual([]);
  expect(claimsInTheWay(claims, { claimType: 'shared', serverId: 'b' })).toEqual([]);
});

test('a drive is written exclusively when its one holder may write', () => {
  expect(isWrittenExclusively([claimOf('a')], 'exclusive')).toBe(true);
  expect(isWrittenExclusively([claimOf('a', { access: 'ro' })], 'exclusive')).toBe(false);
  expect(isWrittenExclusively([claimOf('a')], 'shared')).toBe(false);
  expect(isWrittenExclusively([], 'exclusive')).toBe(false);
});

test('holders are named with what would free the drive, and counted when there are many', () => {
  const leased = claimOf('a', { expiresAtMs: Date.UTC(2026, 0, 31, 12) });
  expect(describeHolders([leased])).toBe(
    'server a (its lease ends at 2026-01-31T12:00:00.000Z unless renewed)',
  );
  expect(describeHolders([claimOf('a'), claimOf('b')])).toBe(
    'server a (no lease: it must be released) and server b (no lease: it must be released)',
  );
  expect(describeHolders(['a', 'b', 'c', 'd', 'e'].map((name) => claimOf(name)))).toMatch(/ and 2 more$/);
});
