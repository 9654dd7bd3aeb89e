import { randomUUID } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { driveMissing } from '../core/errors.ts';
import { ALL_USERS } from '../core/uuid.ts';
import {
  insertDrive,
  insertDrives,
  insertUser,
  sampleDrive,
  sampleKeys,
  SAMPLE_HASH,
} from './describe-sample-rows.ts';
import type { MetadataStore } from './metadata-store.ts';

export function describeDriveQueries(store: () => MetadataStore): void {
  describe('drives', () => {
    test('are found as they were inserted, lists in the order in which they were given', async () => {
      const drive = await insertDrive(store(), {
        name: null,
        sizeBytes: 2 ** 50 - 1,
        claimType: 'shared',
        cipher: 'none',
        tier: 'ssd',
        state: 'creating',
        readers: [randomUUID(), ALL_USERS, randomUUID()],
        tags: ['zebra', 'ant', 'émeu "quoted"'],
        attributes: { z: '1', a: 'line\nbreak', __proto: 'x', ünï: '' },
        counters: { readBytes: 1, readRequests: 2, writeBytes: 3, writeRequests: 4 },
        limits: { iops: 1, iopsBurst: 2, bytesPerSecond: 2 ** 50, burstBytes: 4 },
        imagingError: 'It was corrupt.',
      });
      expect(await store().drives.find(drive.driveId)).toEqual(drive);
      expect(Object.keys((await store().drives.find(drive.driveId))?.attributes ?? {})).toEqual(
        Object.keys(drive.attributes),
      );
      expect(await store().drives.find(randomUUID())).toBeNull();
    });

    test('are found by many UUIDs at once, in their order, in every state, each once', async () => {
      const user = await insertUser(store());
      const states = ['creating', 'ready', 'destroying'] as const;
      const drives = states.map((state) => sampleDrive(user.userId, { state, tags: ['a'] }));
      await insertDrives(store(), drives);
      await insertDrive(store());
      const inOrder = drives.sort((one, other) => (one.driveId < other.driveId ? -1 : 1));
      const ids = inOrder.map(({ driveId }) => driveId);
      const asked = [...ids.toReversed(), randomUUID(), ...ids, 'no UUID'];
      expect(await store().drives.findMany(asked)).toEqual(inOrder);
      expect(await store().drives.findMany(ids.slice(0, 1))).toEqual(inOrder.slice(0, 1));
      expect(await store().drives.findMany([randomUUID()])).toEqual([]);
      expect(await store().drives.findMany([])).toEqual([]);
    });

    test('change in everything but counters, keys, owner and time of creation', async () => {
      const drive = await insertDrive(store(), {
        readers: [ALL_USERS],
        tags: ['a', 'b'],
        attributes: { a: '1' },
      });
      const counters = { readBytes: 1, readRequests: 1, writeBytes: 1, writeRequests: 1 };
      await store().addCounters(new Map([[drive.driveId, counters]]));
      const changed = sampleDrive(drive.userId, {
        driveId: drive.driveId,
        name: 'new',
        sizeBytes: 5,
        claimType: 'shared',
        poolName: 'other',
        tier: 'ssd',
        state: 'destroying',
        readers: [randomUUID(), randomUUID()],
        tags: ['b', 'c', 'a'],
        attributes: { b: '2' },
        limits: { iops: null, iopsBurst: 3, bytesPerSecond: 5, burstBytes: 2 ** 40 },
        imagingError: 'Bad.',
      });
      await store().transaction((tx) =>
        tx.drives.update({ ...changed, userId: randomUUID(), createdAtMs: 1 }),
      );
      expect(await store().drives.find(drive.driveId)).toEqual({ ...changed, counters });
    });

    test('that do not exist cannot change, and being removed they take nothing along', async () => {
      const drive = await insertDrive(store());
      const unknown = sampleDrive(drive.userId);
      const update = store().transaction((tx) => tx.drives.update(unknown));
      await expect(update).rejects.toMatchObject({
        code: 'missing',
        message: driveMissing(unknown.driveId).message,
      });
      await store().transaction((tx) => tx.drives.remove(unknown.driveId));
      expect(await store().drives.find(drive.driveId)).toEqual(drive);
    });

    test('are forgotten with all that belongs to them', async () => {
      const user = await insertUser(store());
      const change = { readers: [ALL_USERS], tags: ['a'] };
      const drive = sampleDrive(user.userId, change);
      const kept = sampleDrive(user.userId, change);
      const key = { userId: user.userId, idempotencyKey: 'k' };
      await store().transaction(async (tx) => {
        await tx.drives.insert(kept, sampleKeys(1));
        await tx.drives.insert(drive, sampleKeys(1));
        await tx.drives.insertIdempotent({
          ...key,
          bodyHash: SAMPLE_HASH,
          driveId: drive.driveId,
          expiresAtMs: 10,
        });
        await tx.imaging.insert({
          jobId: randomUUID(),
          targetDriveId: drive.driveId,
          sourceDriveId: kept.driveId,
          conversion: 'plain',
          totalBytes: 1,
          createdAtMs: 1,
        });
      });
      await store().transaction((tx) => tx.drives.remove(drive.driveId));
      expect(await store().drives.find(drive.driveId)).toBeNull();
      expect(await store().drives.findKeys(drive.driveId)).toBeNull();
      expect(await store().drives.findIdempotent({ ...key, nowMs: 1 })).toBeNull();
      expect(await store().imaging.findByTarget(drive.driveId)).toBeNull();
      expect(await store().drives.find(kept.driveId)).toEqual(kept);
      expect(await store().drives.findKeys(kept.driveId)).not.toBeNull();
      await insertDrives(store(), [drive]);
      expect(await store().drives.find(drive.driveId)).toEqual(drive);
    });

    test('add up by pool, in every state', async () => {
      const user = await insertUser(store());
      expect(await store().drives.usageByPool()).toEqual(new Map());
      await insertDrives(store(), [
        sampleDrive(user.userId, { poolName: 'a', sizeBytes: 2 ** 50 }),
        sampleDrive(user.userId, { poolName: 'a', sizeBytes: 1, state: 'destroying' }),
        sampleDrive(user.userId, { poolName: 'b', sizeBytes: 7, state: 'creating' }),
      ]);
      const usage = await store().drives.usageByPool();
      expect(usage.get('a')).toEqual({ drives: 2, sizeBytes: 2 ** 50 + 1 });
      expect(usage.get('b')).toEqual({ drives: 1, sizeBytes: 7 });
      expect(usage.size).toBe(2);
    });
  });

  describe('wrapped keys', () => {
    test('are kept, replaced and forgotten', async () => {
      const user = await insertUser(store());
      const drive = sampleDrive(user.userId);
      const keys = sampleKeys(1);
      await store().transaction((tx) => tx.drives.insert(drive, keys));
      expect(plain(await store().drives.findKeys(drive.driveId))).toEqual(plain(keys));
      const other = sampleKeys(3, 'master-2');
      await store().transaction((tx) => tx.drives.updateKeys(drive.driveId, other));
      expect(plain(await store().drives.findKeys(drive.driveId))).toEqual(plain(other));
      await store().transaction((tx) => tx.drives.updateKeys(drive.driveId, null));
      expect(await store().drives.findKeys(drive.driveId)).toBeNull();
      await store().transaction((tx) => tx.drives.updateKeys(drive.driveId, keys));
      expect(plain(await store().drives.findKeys(drive.driveId))).toEqual(plain(keys));
    });

    test('cannot belong to a drive that does not exist', async () => {
      const update = store().transaction((tx) => tx.drives.updateKeys(randomUUID(), sampleKeys(1)));
      await expect(update).rejects.toThrow(Error);
      await store().transaction((tx) => tx.drives.updateKeys(randomUUID(), null));
    });

    test('under other master keys are listed in pages in the order of the drives', async () => {
      const user = await insertUser(store());
      const drives = Array.from({ length: 6 }, () => sampleDrive(user.userId));
      await store().transaction(async (tx) => {
        for (const [index, drive] of drives.entries()) {
          await tx.drives.insert(drive, sampleKeys(index, index % 3 === 0 ? 'new' : `old-${index}`));
        }
      });
      const old = drives.filter((_, index) => index % 3 !== 0).map((drive) => drive.driveId);
      old.sort();
      const pages = await store().transaction(async (tx) => [
        await tx.drives.listKeysNotUnder('new', { after: null, limit: 3 }),
        await tx.drives.listKeysNotUnder('new', { after: old[2] ?? null, limit: 3 }),
      ]);
      expect(pages.map((page) => page.map((entry) => entry.driveId))).toEqual([
        old.slice(0, 3),
        old.slice(3),
      ]);
      const entry = pages[0]?.[0];
      expect(plain(entry?.keys ?? null)).toEqual(plain(await store().drives.findKeys(entry?.driveId ?? '')));
    });
  });

  describe('Idempotency-Keys', () => {
    test('give their drive until they expire', async () => {
      const drive = await insertDrive(store());
      const other = await insertUser(store());
      const key = { userId: drive.userId, idempotencyKey: 'k' };
      const entry = { ...key, bodyHash: SAMPLE_HASH, driveId: drive.driveId, expiresAtMs: 100 };
      await store().transaction((tx) => tx.drives.insertIdempotent(entry));
      const found = await store().drives.findIdempotent({ ...key, nowMs: 99 });
      expect(found?.driveId).toBe(drive.driveId);
      expect(Buffer.from(found?.bodyHash ?? [])).toEqual(Buffer.from(SAMPLE_HASH));
      expect(await store().drives.findIdempotent({ ...key, nowMs: 100 })).toBeNull();
      expect(await store().drives.findIdempotent({ ...key, idempotencyKey: 'K', nowMs: 1 })).toBeNull();
      expect(await store().drives.findIdempotent({ ...key, userId: other.userId, nowMs: 1 })).toBeNull();
    });

    test('are used once, and again when the expired ones were removed', async () => {
      const drive = await insertDrive(store());
      const entry = { userId: drive.userId, bodyHash: SAMPLE_HASH, driveId: drive.driveId };
      const first = { ...entry, idempotencyKey: 'a', expiresAtMs: 100 };
      await store().transaction((tx) => tx.drives.insertIdempotent(first));
      await store().transaction((tx) =>
        tx.drives.insertIdempotent({ ...entry, idempotencyKey: 'b', expiresAtMs: 101 }),
      );
      const again = store().transaction((tx) => tx.drives.insertIdempotent(first));
      await expect(again).rejects.toMatchObject({ code: 'busy' });
      expect(await store().transaction((tx) => tx.drives.removeExpiredIdempotent(100))).toBe(1);
      expect(await store().transaction((tx) => tx.drives.removeExpiredIdempotent(100))).toBe(0);
      await store().transaction((tx) => tx.drives.insertIdempotent(first));
    });
  });
}

/** Bytes as Buffers, so that two kinds of byte array compare by content. */
function plain(keys: { masterKeyId: string; volumeKey: Uint8Array; passphrase: Uint8Array } | null): unknown {
  if (keys === null) return null;
  return { ...keys, volumeKey: Buffer.from(keys.volumeKey), passphrase: Buffer.from(keys.passphrase) };
}
