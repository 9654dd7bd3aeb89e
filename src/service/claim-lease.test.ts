import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { A, B, createClaimScene } from '../../test/helpers/claim-scene.ts';
import type { ScratchService } from '../../test/helpers/scratch-service.ts';
import type { Drive } from '../core/drive.ts';
import type { User } from '../core/user.ts';
import { createClaimSweeper } from './claim-sweeper.ts';
import type { RenewClaimInput } from './service.ts';

let scratch: ScratchService;
let owner: User;
let drive: Drive;

beforeEach(async () => {
  ({ scratch, owner, drive } = await createClaimScene());
});

afterEach(() => scratch[Symbol.asyncDispose]());

function claim(serverId: string, leaseSeconds?: number, of = drive) {
  return scratch.service.claims.claim(owner, of.driveId, { serverId, leaseSeconds });
}

function renew(input: RenewClaimInput) {
  return scratch.service.claims.renew(owner, drive.driveId, input);
}

describe('a lease that ran out', () => {
  test('frees the drive at its very end, before anybody has swept it', async () => {
    expect(await claim(A, 10)).toMatchObject({ expires: '2026-01-01T00:00:10.000Z' });
    scratch.connections.open(drive.driveId, { serverId: A, epoch: 1, connections: 1, sinceMs: 0 });
    scratch.clock.nowMs += 9_999;
    await expect(claim(B)).rejects.toMatchObject({ code: 'busy' });
    scratch.clock.nowMs += 1;
    expect(await scratch.service.claims.list(owner, drive.driveId)).toEqual([]);
    expect(await claim(B)).toMatchObject({ epoch: '2' });
    expect(scratch.connections.list(drive.driveId)).toEqual([]);
    const events = scratch.events.map(({ event, server }) => [event, server]);
    expect(events).toEqual([
      ['claim', A],
      ['expire', A],
      ['claim', B],
      ['cut', A],
    ]);
  });

  test('is swept, and its connections are cut, on each drive by itself', async () => {
    const stuck = await scratch.addDrive(owner);
    await claim(A, 10);
    await claim(A, 5, stuck);
    await claim(A, 5, await scratch.addDrive(owner));
    const kept = await scratch.addDrive(owner);
    await claim(A, 11, kept);
    const cutsBefore = scratch.connections.cuts.length;
    const { promise, resolve } = Promise.withResolvers<void>();
    let isFirst = true;
    scratch.connections.beforeCut = async () => {
      if (!isFirst) return;
      isFirst = false;
      await promise;
    };
    scratch.clock.nowMs += 10_000;
    const sweeper = createClaimSweeper(scratch.context);
    await sweeper.sweep();
    await expect.poll(() => scratch.connections.cuts.length - cutsBefore).toBe(2);
    await sweeper.sweep();
    resolve();
    await sweeper.stop();
    expect(scratch.connections.cuts.length - cutsBefore).toBe(3);
    expect(scratch.events.filter(({ event }) => event === 'expire')).toHaveLength(3);
    expect(
      await scratch.context.metadata.claims.listExpired({ nowMs: scratch.clock.nowMs, limit: 9 }),
    ).toEqual([]);
    expect(await scratch.service.claims.list(owner, kept.driveId)).toHaveLength(1);
  });

  test('is no longer swept once the sweeper has been stopped', async () => {
    await claim(A, 1);
    scratch.clock.nowMs += 1000;
    const sweeper = createClaimSweeper(scratch.context);
    await sweeper.stop();
    await sweeper.sweep();
    expect(await scratch.context.metadata.claims.list([drive.driveId])).toHaveLength(1);
  });
});

describe('a renewal', () => {
  test('begins the lease anew, with the length that it had or another one, under the same secret', async () => {
    await claim(A, 10);
    const secretBefore = await scratch.context.metadata.claims.find({ driveId: drive.driveId, serverId: A });
    scratch.clock.nowMs += 4000;
    expect(await renew({ serverId: A, epoch: 1 })).toEqual({
      drive: drive.driveId,
      server: A,
      access: 'rw',
      epoch: '1',
      expires: '2026-01-01T00:00:14.000Z',
    });
    const longer = await renew({ serverId: A, epoch: 1, leaseSeconds: 60 });
    expect(longer).toMatchObject({ expires: '2026-01-01T00:01:04.000Z' });
    scratch.clock.nowMs += 1000;
    expect(await renew({ serverId: A, epoch: 1 })).toMatchObject({ expires: '2026-01-01T00:01:05.000Z' });
    const after = await scratch.context.metadata.claims.find({ driveId: drive.driveId, serverId: A });
    expect(after?.secretHash).toEqual(secretBefore?.secretHash);
  });

  test('under a stale epoch is refused and names the current one', async () => {
    await claim(A, 10);
    await claim(A, 10);
    await expect(renew({ serverId: A, epoch: 1 })).rejects.toMatchObject({
      code: 'busy',
      message: expect.stringContaining('the current one is 2'),
      facts: { epoch: 2 },
    });
  });

  test('of a claim that is no more is refused, and says who holds the drive now', async () => {
    await claim(A, 10);
    await scratch.service.claims.claim(owner, drive.driveId, { serverId: B, takeover: true });
    await expect(renew({ serverId: A, epoch: 1 })).rejects.toMatchObject({
      code: 'busy',
      message: expect.stringContaining(`held by server ${B}`),
      facts: { epoch: 2 },
    });
    await expect(renew({ serverId: A, epoch: 2 })).rejects.toMatchObject({ code: 'busy' });
  });

  test('of a lease that has run out is refused, also when nobody has swept it', async () => {
    await claim(A, 10);
    scratch.clock.nowMs += 10_000;
    await expect(renew({ serverId: A, epoch: 1 })).rejects.toMatchObject({
      code: 'busy',
      message: expect.stringContaining('nobody does'),
    });
  });

  test('of a claim without a lease is impossible, also with a lease', async () => {
    await claim(A);
    await expect(renew({ serverId: A, epoch: 1 })).rejects.toMatchObject({ code: 'usage' });
    const withLease = renew({ serverId: A, epoch: 1, leaseSeconds: 5 });
    await expect(withLease).rejects.toMatchObject({ code: 'usage' });
  });

  test('with an impossible lease changes nothing', async () => {
    await claim(A, 10);
    const attempt = renew({ serverId: A, epoch: 1, leaseSeconds: 86_401 });
    await expect(attempt).rejects.toMatchObject({ code: 'usage' });
    const [claimed] = await scratch.service.claims.list(owner, drive.driveId);
    expect(claimed).toMatchObject({ expires: '2026-01-01T00:00:10.000Z' });
  });
});
