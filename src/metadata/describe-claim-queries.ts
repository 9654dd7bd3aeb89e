import { randomBytes, randomUUID } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import type { Claim } from '../core/claim.ts';
import { insertDrive, insertDrives, sampleClaim, sampleDrive } from './describe-sample-rows.ts';
import type { MetadataStore } from './metadata-store.ts';

export function describeClaimQueries(store: () => MetadataStore): void {
  async function put(...claims: readonly Claim[]): Promise<void> {
    await store().transaction(async (tx) => {
      for (const claim of claims) await tx.claims.put(claim);
    });
  }

  function nextEpoch(driveId: string): Promise<number> {
    return store().transaction((tx) => tx.claims.nextEpoch(driveId));
  }

  describe('claims', () => {
    test('are found as they were made, by drive and server and by the hash of their secret', async () => {
      const { driveId } = await insertDrive(store());
      const lasting = sampleClaim(driveId, { epoch: 2 ** 50 });
      const leased = sampleClaim(driveId, { access: 'ro', leaseMs: 5, expiresAtMs: 2 ** 45 });
      await put(lasting, leased);
      for (const claim of [lasting, leased]) {
        expect(plain(await store().claims.find(claim))).toEqual(plain(claim));
        expect(plain(await store().claims.findBySecretHash(claim.secretHash))).toEqual(plain(claim));
      }
      expect(await store().claims.find({ driveId, serverId: randomUUID() })).toBeNull();
      expect(await store().claims.find({ driveId: randomUUID(), serverId: leased.serverId })).toBeNull();
      expect(await store().claims.findBySecretHash(randomBytes(32))).toBeNull();
    });

    test('of one server on one drive replace each other, and the old secret finds nothing', async () => {
      const { driveId } = await insertDrive(store());
      const old = sampleClaim(driveId, { leaseMs: 5, expiresAtMs: 5 });
      await put(old);
      const renewed = sampleClaim(driveId, {
        serverId: old.serverId,
        epoch: 2,
        access: 'ro',
        claimedAtMs: 9,
      });
      await put(renewed);
      expect((await store().claims.list([driveId])).map(plain)).toEqual([plain(renewed)]);
      expect(await store().claims.findBySecretHash(old.secretHash)).toBeNull();
    });

    test('are listed drive by drive in the order of their epochs', async () => {
      const first = await insertDrive(store());
      const drives = [first, sampleDrive(first.userId), sampleDrive(first.userId)];
      await insertDrives(store(), drives.slice(1));
      const driveIds = drives.map((drive) => drive.driveId).sort();
      const claims = driveIds.flatMap((driveId) =>
        [9, 3, 10].map((epoch) => sampleClaim(driveId, { epoch })),
      );
      await put(...claims);
      const epochsOf = async (ids: readonly string[]) =>
        (await store().claims.list(ids)).map(({ driveId, epoch }) => [driveIds.indexOf(driveId), epoch]);
      expect(await epochsOf([driveIds[1] ?? ''])).toEqual([3, 9, 10].map((epoch) => [1, epoch]));
      expect(await epochsOf([driveIds[2] ?? '', driveIds[0] ?? '', randomUUID()])).toEqual([
        [0, 3],
        [0, 9],
        [0, 10],
        [2, 3],
        [2, 9],
        [2, 10],
      ]);
      expect(await epochsOf([])).toEqual([]);
    });

    test('end once, and only under their own epoch', async () => {
      const { driveId } = await insertDrive(store());
      const claim = sampleClaim(driveId, { epoch: 4 });
      await put(claim);
      const remove = (epoch: number) => store().transaction((tx) => tx.claims.remove({ ...claim, epoch }));
      expect(await remove(3)).toBe(false);
      expect(await store().claims.list([driveId])).toHaveLength(1);
      expect(await remove(4)).toBe(true);
      expect(await remove(4)).toBe(false);
      expect(await store().claims.list([driveId])).toEqual([]);
    });

    test('whose lease has run out are listed, the longest ago first, and those without a lease never', async () => {
      const { driveId } = await insertDrive(store());
      const [early, late, future, lasting] = [10, 20, 21, null].map((expiresAtMs, index) =>
        sampleClaim(driveId, { epoch: 9 - index, leaseMs: expiresAtMs, expiresAtMs }),
      ) as [Claim, Claim, Claim, Claim];
      await put(late, lasting, future, early);
      const expired = async (nowMs: number, limit = 10) =>
        (await store().claims.listExpired({ nowMs, limit })).map((claim) => claim.serverId);
      expect(await expired(20)).toEqual([early.serverId, late.serverId]);
      expect(await expired(20, 1)).toEqual([early.serverId]);
      expect(await expired(9)).toEqual([]);
      const before = await store().claims.count();
      await store().transaction((tx) => tx.claims.remove(late));
      expect(await store().claims.count()).toBe(before - 1);
    });

    test('whose lease has run out are listed without those on drives in pools that are left out', async () => {
      const first = await insertDrive(store(), { poolName: 'ours' });
      const second = sampleDrive(first.userId, { poolName: 'theirs' });
      await insertDrives(store(), [second]);
      const [ours, theirs] = [first, second].map(({ driveId }) => {
        return sampleClaim(driveId, { leaseMs: 1, expiresAtMs: 1 });
      }) as [Claim, Claim];
      await put(ours, theirs);
      const listed = async (...exceptPools: readonly string[]) =>
        (await store().claims.listExpired({ nowMs: 5, limit: 1, exceptPools })).map(
          (claim) => claim.serverId,
        );
      expect(await listed('ours')).toEqual([theirs.serverId]);
      expect(await listed('theirs')).toEqual([ours.serverId]);
      expect(await listed('ours', 'theirs')).toEqual([]);
    });

    test('go with their drive', async () => {
      const { driveId } = await insertDrive(store());
      const claim = sampleClaim(driveId);
      await put(claim);
      await store().transaction((tx) => tx.drives.remove(driveId));
      expect(await store().claims.findBySecretHash(claim.secretHash)).toBeNull();
      expect(await store().claims.list([driveId])).toEqual([]);
    });

    test('need a drive', async () => {
      await expect(put(sampleClaim(randomUUID()))).rejects.toThrow(Error);
      await expect(nextEpoch(randomUUID())).rejects.toMatchObject({ code: 'missing' });
    });
  });

  describe('the epoch of direct access', () => {
    const set = async (driveId: string, epoch: number | null): Promise<void> =>
      await store().transaction((tx) => tx.claims.setDirectEpoch(driveId, epoch));

    test('is kept with the drive, and by no other change of it', async () => {
      const drive = await insertDrive(store());
      await set(drive.driveId, 2 ** 50);
      await store().transaction((tx) => tx.drives.update({ ...drive, name: 'renamed' }));
      expect(await store().drives.find(drive.driveId)).toMatchObject({
        directEpoch: 2 ** 50,
        name: 'renamed',
      });
      await set(drive.driveId, null);
      expect(await store().drives.find(drive.driveId)).toMatchObject({ directEpoch: null });
    });

    test('is found where its claim is no more', async () => {
      const [held, left] = [await insertDrive(store(), { poolName: 'ceph' }), await insertDrive(store())];
      for (const { driveId } of [held, left]) {
        await put(sampleClaim(driveId, { epoch: 3 }));
        await set(driveId, 3);
      }
      expect(await store().claims.listLeftOpen(9)).toEqual([]);
      await put(sampleClaim(held.driveId, { epoch: 4 }), sampleClaim(left.driveId, { epoch: 4 }));
      for (const { driveId } of [held, left]) await set(driveId, 2);
      await set(held.driveId, 4);
      const { driveId, poolName } = left;
      expect(await store().claims.listLeftOpen(9)).toEqual([{ driveId, poolName }]);
      expect(await store().claims.listLeftOpen(0)).toEqual([]);
      await set(driveId, null);
      expect(await store().claims.listLeftOpen(9)).toEqual([]);
    });

    test('needs a drive', async () => {
      await expect(set(randomUUID(), 1)).rejects.toMatchObject({ code: 'missing' });
    });
  });

  describe('epochs', () => {
    test('of a drive grow by one, whatever becomes of its claims and of the drive meanwhile', async () => {
      const drive = await insertDrive(store());
      const other = await insertDrive(store());
      expect(await nextEpoch(drive.driveId)).toBe(1);
      const claim = sampleClaim(drive.driveId, { epoch: 1 });
      await put(claim);
      await store().transaction(async (tx) => {
        await tx.claims.remove(claim);
        await tx.drives.update({ ...drive, name: 'renamed' });
      });
      expect(await nextEpoch(drive.driveId)).toBe(2);
      expect(await nextEpoch(other.driveId)).toBe(1);
    });

    test('of a transaction that failed are given again', async () => {
      const { driveId } = await insertDrive(store());
      const failing = store().transaction(async (tx) => {
        await tx.claims.nextEpoch(driveId);
        throw new Error('no');
      });
      await expect(failing).rejects.toThrow('no');
      expect(await nextEpoch(driveId)).toBe(1);
    });

    test('are given once each when many ask at the same time', async () => {
      const { driveId } = await insertDrive(store());
      const epochs = await Promise.all(Array.from({ length: 50 }, () => nextEpoch(driveId)));
      expect(epochs).toEqual(Array.from({ length: 50 }, (_, index) => index + 1));
    });
  });
}

/** A claim whose hash can be compared, whatever kind of bytes the database gave. */
function plain(claim: Claim | null): unknown {
  return claim === null ? null : { ...claim, secretHash: Buffer.from(claim.secretHash).toString('hex') };
}
