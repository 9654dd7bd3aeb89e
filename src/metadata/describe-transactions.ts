import { describe, expect, test } from 'vitest';
import { DriveError } from '../core/errors.ts';
import { insertDrive, insertUser, sampleDrive, sampleUser, SAMPLE_HASH } from './describe-sample-rows.ts';
import type { MetadataStore, MetadataTransaction } from './metadata-store.ts';

export function describeTransactions(store: () => MetadataStore): void {
  describe('transactions', () => {
    test('give back what the work returns', async () => {
      expect(await store().transaction(() => Promise.resolve(42))).toBe(42);
    });

    test('throw the very error that the work threw, and nothing has happened', async () => {
      const user = sampleUser();
      const error = new DriveError('full', 'No.');
      const attempt = store().transaction(async (tx) => {
        await tx.users.insert(user, SAMPLE_HASH);
        throw error;
      });
      await expect(attempt).rejects.toBe(error);
      expect(await store().users.find(user.userId)).toBeNull();
    });

    test('see what they have written, and nobody else does before the commit', async () => {
      const user = sampleUser();
      await store().transaction(async (tx) => {
        await tx.users.insert(user, SAMPLE_HASH);
        expect(await tx.users.find(user.userId)).toEqual(user);
        expect(await store().users.find(user.userId)).toBeNull();
      });
      expect(await store().users.find(user.userId)).toEqual(user);
    });

    test('run as if one after the other, in the order in which they came', async () => {
      const order: number[] = [];
      await Promise.all(
        Array.from({ length: 100 }, (_, number) =>
          store().transaction(async (tx) => {
            order.push(number);
            const value = Number((await tx.settings.get('sum')) ?? '0');
            await tx.settings.set('sum', String(value + 1));
          }),
        ),
      );
      expect(await store().transaction((tx) => tx.settings.get('sum'))).toBe('100');
      expect(order).toEqual(Array.from({ length: 100 }, (_, number) => number));
    });

    test('that fail among many leave the others as they are', async () => {
      const users = Array.from({ length: 30 }, () => sampleUser());
      const attempts = users.map((user, number) =>
        store().transaction(async (tx) => {
          await tx.users.insert(user, SAMPLE_HASH);
          if (number % 3 === 1) throw new Error(`no ${number}`);
          return number;
        }),
      );
      const outcomes = await Promise.allSettled(attempts);
      for (const [number, user] of users.entries()) {
        const isFailed = number % 3 === 1;
        expect(outcomes[number]?.status).toBe(isFailed ? 'rejected' : 'fulfilled');
        expect(await store().users.find(user.userId)).toEqual(isFailed ? null : user);
      }
    });

    test('are seen by every look-up from when they are told of, however often it was made before', async () => {
      const user = await insertUser(store());
      const drive = await insertDrive(store(), { userId: user.userId });
      const look = async (): Promise<unknown[]> => [
        (await store().users.findWithKeyHash(user.userId))?.user.name,
        (await store().drives.find(drive.driveId))?.name,
        (await store().imaging.listTouching([drive.driveId])).length,
        (await store().claims.list([drive.driveId])).length,
      ];
      expect(await look()).toEqual([user.name, drive.name, 0, 0]);
      const looks: Promise<unknown[]>[] = [];
      for (let round = 0; round < 20; round += 1) {
        const name = `round ${round}`;
        // Looks that are under way while it commits may see either.
        looks.push(look());
        const changing = store().transaction(async (tx) => {
          await tx.users.update({ ...user, name });
          await tx.drives.update({ ...drive, name });
        });
        looks.push(look());
        await changing;
        expect(await look()).toEqual([name, name, 0, 0]);
      }
      await Promise.all(looks);
      await store().transaction((tx) => tx.drives.remove(drive.driveId));
      expect((await look())[1]).toBeUndefined();
    });

    test('go on after a statement that was refused', async () => {
      const user = await insertUser(store());
      await store().transaction(async (tx) => {
        await tx.settings.set('before', '1');
        await expect(tx.users.update(sampleUser())).rejects.toMatchObject({ code: 'missing' });
        await tx.users.update({ ...user, name: 'after' });
      });
      expect((await store().users.find(user.userId))?.name).toBe('after');
    });

    test('refuse to be used after their work has settled', async () => {
      const kept: MetadataTransaction[] = [];
      await store().transaction((tx) => {
        kept.push(tx);
        return Promise.resolve();
      });
      await expect(kept[0]?.settings.set('late', '1')).rejects.toThrow('ended');
      expect(await store().transaction((tx) => tx.settings.get('late'))).toBeNull();
    });
  });

  describe('the store', () => {
    test('remembers settings, replaces and forgets them', async () => {
      await store().transaction((tx) => tx.settings.set('installation', 'a'));
      await store().transaction((tx) => tx.settings.set('installation', 'b'));
      expect(await store().transaction((tx) => tx.settings.get('installation'))).toBe('b');
      expect(await store().transaction((tx) => tx.settings.get('other'))).toBeNull();
      await store().transaction((tx) => tx.settings.remove('installation'));
      expect(await store().transaction((tx) => tx.settings.get('installation'))).toBeNull();
      await expect(store().transaction((tx) => tx.settings.remove('other'))).resolves.toBeUndefined();
    });

    test('adds counters to many drives at once, also past 2^53, and passes unknown drives over', async () => {
      const first = await insertDrive(store());
      const second = await insertDrive(store());
      const delta = { readBytes: 2 ** 52, readRequests: 1, writeBytes: 5, writeRequests: 2 };
      const unknown = sampleDrive(first.userId);
      for (let round = 0; round < 4; round += 1) {
        await store().addCounters(
          new Map([
            [first.driveId, delta],
            [unknown.driveId, delta],
            [second.driveId, { ...delta, readBytes: 1 }],
          ]),
        );
      }
      const sums = { readBytes: 2 ** 54, readRequests: 4, writeBytes: 20, writeRequests: 8 };
      expect((await store().drives.find(first.driveId))?.counters).toEqual(sums);
      expect((await store().drives.find(second.driveId))?.counters).toEqual({ ...sums, readBytes: 4 });
      expect(await store().drives.find(unknown.driveId)).toBeNull();
    });

    test('takes an empty set of counters', async () => {
      await expect(store().addCounters(new Map())).resolves.toBeUndefined();
    });

    test('answers a ping, and says system once it is closed', async () => {
      await store().ping();
      await store().close();
      await expect(store().ping()).rejects.toMatchObject({ code: 'system' });
      await expect(store().transaction(() => Promise.resolve())).rejects.toMatchObject({ code: 'system' });
    });

    test('finishes what was begun before it closes', async () => {
      const inserted = insertUser(store());
      await store().close();
      await expect(inserted).resolves.toMatchObject({ isAdmin: false });
    });
  });
}
