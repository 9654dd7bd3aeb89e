import { describe, expect, test } from 'vitest';
import type { DriveState } from '../core/drive.ts';
import { insertDrives, insertUser, sampleDrive, sampleUser, SAMPLE_HASH } from './describe-sample-rows.ts';
import type { MetadataStore } from './metadata-store.ts';

export function describeUserQueries(store: () => MetadataStore): void {
  describe('users', () => {
    test('are found as they were inserted, with the hash of their key', async () => {
      const user = await insertUser(store(), {
        name: 'Ada',
        isAdmin: true,
        quotaDrives: 3,
        quotaBytes: 2 ** 50,
      });
      expect(await store().users.find(user.userId)).toEqual(user);
      const found = await store().users.findWithKeyHash(user.userId);
      expect(found?.user).toEqual(user);
      expect(Buffer.from(found?.keyHash ?? [])).toEqual(Buffer.from(SAMPLE_HASH));
      expect(await store().users.find(sampleUser().userId)).toBeNull();
      expect(await store().users.findWithKeyHash(sampleUser().userId)).toBeNull();
    });

    test('are inserted once', async () => {
      const user = await insertUser(store());
      await expect(insertUser(store(), { userId: user.userId })).rejects.toThrow(Error);
    });

    test('change in everything but their key, and their key in nothing else', async () => {
      const user = await insertUser(store(), { quotaDrives: 1 });
      const changed = {
        ...user,
        name: 'New',
        isAdmin: true,
        isDisabled: true,
        quotaDrives: null,
        quotaBytes: 9,
      };
      await store().transaction((tx) => tx.users.update(changed));
      expect(Buffer.from((await store().users.findWithKeyHash(user.userId))?.keyHash ?? [])).toEqual(
        Buffer.from(SAMPLE_HASH),
      );
      const keyHash = new Uint8Array(32).fill(9);
      await store().transaction((tx) => tx.users.updateKeyHash(user.userId, keyHash));
      const found = await store().users.findWithKeyHash(user.userId);
      expect(found?.user).toEqual(changed);
      expect(Buffer.from(found?.keyHash ?? [])).toEqual(Buffer.from(keyHash));
    });

    test('that do not exist cannot change', async () => {
      const user = sampleUser();
      const update = store().transaction((tx) => tx.users.update(user));
      await expect(update).rejects.toMatchObject({ code: 'missing' });
      const updateKeyHash = store().transaction((tx) => tx.users.updateKeyHash(user.userId, SAMPLE_HASH));
      await expect(updateKeyHash).rejects.toMatchObject({ code: 'missing' });
    });

    test('are listed in pages in the order of their UUIDs', async () => {
      const users = await Promise.all(Array.from({ length: 7 }, () => insertUser(store())));
      const sorted = users.map((user) => user.userId).sort();
      const first = await store().users.list({ after: null, limit: 3 });
      expect(first.map((user) => user.userId)).toEqual(sorted.slice(0, 3));
      const rest = await store().users.list({ after: sorted[2] ?? null, limit: 10 });
      expect(rest.map((user) => user.userId)).toEqual(sorted.slice(3));
    });
  });

  describe('usage of a user', () => {
    test('counts drives that are creating or ready, and their bytes', async () => {
      const user = await insertUser(store());
      const other = await insertUser(store());
      const states: DriveState[] = ['creating', 'ready', 'destroying'];
      await insertDrives(store(), [
        ...states.map((state, index) => sampleDrive(user.userId, { state, sizeBytes: 10 ** index })),
        sampleDrive(other.userId, { sizeBytes: 5000 }),
      ]);
      expect(await store().users.usage(user.userId)).toEqual({ drives: 2, sizeBytes: 11 });
      expect(await store().users.usage(other.userId)).toEqual({ drives: 1, sizeBytes: 5000 });
      expect(await store().users.usage(sampleUser().userId)).toEqual({ drives: 0, sizeBytes: 0 });
    });

    test('follows a drive through its life, inside and after the transaction', async () => {
      const user = await insertUser(store());
      const drive = sampleDrive(user.userId, { state: 'creating', sizeBytes: 100 });
      await insertDrives(store(), [drive]);
      const changes = [
        { change: { state: 'ready', sizeBytes: 100 }, usage: { drives: 1, sizeBytes: 100 } },
        { change: { state: 'ready', sizeBytes: 2 ** 50 }, usage: { drives: 1, sizeBytes: 2 ** 50 } },
        { change: { state: 'ready', sizeBytes: 60 }, usage: { drives: 1, sizeBytes: 60 } },
        { change: { state: 'destroying', sizeBytes: 60 }, usage: { drives: 0, sizeBytes: 0 } },
      ] as const;
      for (const { change, usage } of changes) {
        const seen = await store().transaction(async (tx) => {
          await tx.drives.update({ ...drive, ...change });
          return await tx.users.usage(user.userId);
        });
        expect(seen).toEqual(usage);
        expect(await store().users.usage(user.userId)).toEqual(usage);
      }
      await store().transaction((tx) => tx.drives.remove(drive.driveId));
      expect(await store().users.usage(user.userId)).toEqual({ drives: 0, sizeBytes: 0 });
    });

    test('forgets a removed drive, and keeps what a failed transaction would have changed', async () => {
      const user = await insertUser(store());
      const drives = [sampleDrive(user.userId), sampleDrive(user.userId)] as const;
      await insertDrives(store(), drives);
      await store().transaction((tx) => tx.drives.remove(drives[0].driveId));
      const failing = store().transaction(async (tx) => {
        await tx.drives.remove(drives[1].driveId);
        throw new Error('no');
      });
      await expect(failing).rejects.toThrow('no');
      expect(await store().users.usage(user.userId)).toEqual({ drives: 1, sizeBytes: 1024 });
    });
  });
}
