import { describe, expect, test } from 'vitest';
import type { Drive } from '../core/drive.ts';
import { ALL_USERS } from '../core/uuid.ts';
import { insertDrives, insertUser, sampleDrive } from './describe-sample-rows.ts';
import type { DriveQuery, MetadataStore } from './metadata-store.ts';

const EVERYTHING: DriveQuery = {
  userId: null,
  readerId: null,
  tag: null,
  state: null,
  poolName: null,
  after: null,
  limit: 1000,
};

type Filter = Partial<Pick<DriveQuery, 'userId' | 'readerId' | 'tag' | 'state' | 'poolName'>>;

export function describeDriveLists(store: () => MetadataStore): void {
  describe('lists of drives', () => {
    test('hold whole drives in the order of their UUIDs', async () => {
      const user = await insertUser(store());
      const drives = Array.from({ length: 5 }, (_, index) =>
        sampleDrive(user.userId, {
          readers: [ALL_USERS],
          tags: [`t${index}`],
          attributes: { n: String(index) },
        }),
      );
      await insertDrives(store(), drives);
      expect(await store().drives.list(EVERYTHING)).toEqual(sorted(drives));
    });

    test('come in pages that neither repeat nor leave out a drive', async () => {
      const user = await insertUser(store());
      const drives = Array.from({ length: 10 }, () =>
        sampleDrive(user.userId, { tags: ['t'], readers: [ALL_USERS] }),
      );
      await insertDrives(store(), drives);
      for (const filter of [{}, { userId: user.userId }, { tag: 't' }, { readerId: ALL_USERS }]) {
        const seen: Drive[] = [];
        for (;;) {
          const after = seen.at(-1)?.driveId ?? null;
          const page = await store().drives.list({ ...EVERYTHING, ...filter, after, limit: 4 });
          if (page.length === 0) break;
          expect(page.length).toBe(Math.min(4, 10 - seen.length));
          seen.push(...page);
        }
        expect(seen).toEqual(sorted(drives));
      }
    });

    test('keep to every filter and to every combination of them', async () => {
      const users = [await insertUser(store()), await insertUser(store())] as const;
      const drives = mixedDrives(users.map((user) => user.userId));
      await insertDrives(store(), drives);
      for (const filter of everyFilter(users[0].userId, users[1].userId)) {
        const listed = await store().drives.list({ ...EVERYTHING, ...filter });
        const expected = sorted(drives.filter((drive) => matches(drive, filter)));
        expect({ filter, ids: ids(listed) }).toEqual({ filter, ids: ids(expected) });
      }
    });

    test('follow a change of readers and tags', async () => {
      const user = await insertUser(store());
      const drive = sampleDrive(user.userId, { readers: [ALL_USERS], tags: ['old', 'kept'] });
      await insertDrives(store(), [drive]);
      const changed = { ...drive, readers: [user.userId], tags: ['kept', 'new'] };
      await store().transaction((tx) => tx.drives.update(changed));
      const list = (filter: Filter) => store().drives.list({ ...EVERYTHING, ...filter });
      expect(await list({ tag: 'old' })).toEqual([]);
      expect(await list({ readerId: ALL_USERS })).toEqual([]);
      for (const filter of [
        { tag: 'kept' },
        { tag: 'new', userId: user.userId },
        { readerId: user.userId },
      ]) {
        expect(await list(filter)).toEqual([changed]);
      }
    });

    test('tell tags of another case apart', async () => {
      const user = await insertUser(store());
      await insertDrives(store(), [sampleDrive(user.userId, { tags: ['Web'] })]);
      expect(await store().drives.list({ ...EVERYTHING, tag: 'web' })).toEqual([]);
    });
  });
}

function mixedDrives(userIds: readonly string[]): Drive[] {
  const states = ['creating', 'ready', 'destroying'] as const;
  return Array.from({ length: 72 }, (_, index) =>
    sampleDrive(userIds[index % 2] ?? '', {
      state: states[index % 3] ?? 'ready',
      tags: index % 4 < 2 ? ['a'] : ['b', 'a2'],
      readers: [[], [ALL_USERS], [userIds[1] ?? '', ALL_USERS]][Math.floor(index / 4) % 3] ?? [],
      poolName: Math.floor(index / 12) % 2 === 0 ? 'p' : 'q',
    }),
  );
}

function everyFilter(userId: string, readerId: string): Filter[] {
  const filters: Filter[] = [];
  for (const byUser of [null, userId])
    for (const byReader of [null, ALL_USERS, readerId])
      for (const tag of [null, 'a', 'b'])
        for (const state of [null, 'creating', 'ready', 'destroying'] as const)
          for (const poolName of [null, 'q'])
            filters.push({ userId: byUser, readerId: byReader, tag, state, poolName });
  return filters;
}

function matches(drive: Drive, { userId, readerId, tag, state, poolName }: Filter): boolean {
  if (userId !== null && drive.userId !== userId) return false;
  if (readerId !== null && !drive.readers.includes(readerId ?? '')) return false;
  if (tag !== null && !drive.tags.includes(tag ?? '')) return false;
  if (state !== null && drive.state !== state) return false;
  return poolName === null || drive.poolName === poolName;
}

function sorted(drives: readonly Drive[]): Drive[] {
  return [...drives].sort((one, other) => (one.driveId < other.driveId ? -1 : 1));
}

function ids(drives: readonly Drive[]): string[] {
  return drives.map((drive) => drive.driveId);
}
