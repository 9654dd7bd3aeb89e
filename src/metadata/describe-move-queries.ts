import { randomUUID } from 'node:crypto';
import { beforeEach, describe, expect, test } from 'vitest';
import type { Drive } from '../core/drive.ts';
import type { DriveMove } from '../core/move.ts';
import { insertDrives, insertUser, sampleDrive } from './describe-sample-rows.ts';
import type { MetadataStore } from './metadata-store.ts';

const PROGRESS = {
  poolName: 'b',
  nodeId: 'maker',
  state: 'copying',
  error: null,
  doneBytes: 3,
  totalBytes: 2 ** 50,
} as const;

export function describeMoveQueries(store: () => MetadataStore): void {
  describe('moves', () => {
    let drives: readonly Drive[] = [];

    beforeEach(async () => {
      const user = await insertUser(store());
      drives = Array.from({ length: 4 }, () => sampleDrive(user.userId, { poolName: 'a' }));
      await insertDrives(store(), drives);
    });

    function drive(index: number): string {
      return drives[index]?.driveId ?? '';
    }

    async function insert(
      index: number,
      poolName = 'b',
      nodeId: string | null = 'maker',
    ): Promise<DriveMove> {
      const tier: DriveMove['tier'] = index === 0 ? 'ssd' : null;
      const move = { driveId: drive(index), poolName, tier, totalBytes: 2 ** 50, createdAtMs: 5, nodeId };
      await store().transaction((tx) => tx.moves.insert(move));
      return { ...move, state: 'queued', error: null, doneBytes: 0 };
    }

    test('are found by their drive, and listed as they came', async () => {
      const second = await insert(1);
      const first = await insert(0);
      expect(await store().moves.find(drive(0))).toEqual(first);
      expect(await store().moves.find(drive(2))).toBeNull();
      expect(await store().moves.list([drive(0)])).toEqual([first]);
      const listed = await store().moves.list([drive(0), drive(1), drive(2)]);
      expect(listed).toHaveLength(2);
      expect(listed).toEqual(expect.arrayContaining([first, second]));
      expect(await store().moves.list([])).toEqual([]);
      expect(await store().moves.listUnderWay(10)).toEqual([second, first]);
      expect(await store().moves.listUnderWay(1)).toEqual([second]);
    });

    test('of one drive are refused while one is under way, and take the place of one that has failed', async () => {
      await insert(0);
      await expect(insert(0, 'c')).rejects.toMatchObject({ code: 'busy' });
      const failed = { ...PROGRESS, driveId: drive(0), state: 'failed', error: 'It is full.' } as const;
      expect(await store().transaction((tx) => tx.moves.progress(failed))).toBe(true);
      expect(await store().moves.find(drive(0))).toMatchObject(failed);
      expect(await store().moves.listUnderWay(10)).toEqual([]);
      const again = await insert(0, 'c');
      expect(await store().moves.find(drive(0))).toEqual(again);
    });

    test('record their progress while they are under way to the same pool', async () => {
      await insert(0);
      const record = (change: Partial<DriveMove & { nodeId: string }> = {}): Promise<boolean> =>
        store().transaction((tx) => tx.moves.progress({ ...PROGRESS, driveId: drive(0), ...change }));
      expect(await record()).toBe(true);
      expect(await store().moves.find(drive(0))).toMatchObject(PROGRESS);
      expect(await record({ poolName: 'c' })).toBe(false);
      expect(await record({ nodeId: 'another' })).toBe(false);
      expect(await record({ driveId: drive(1) })).toBe(false);
      expect(await record({ state: 'failed', error: 'It is full.' })).toBe(true);
      expect(await record()).toBe(false);
      await store().transaction((tx) => tx.moves.remove(drive(0)));
      expect(await store().moves.find(drive(0))).toBeNull();
      expect(await record()).toBe(false);
    });

    test('are taken from the node that makes them, by one that knows which it is', async () => {
      await insert(0);
      const take = (change: { fromNodeId?: string | null; nodeId?: string; poolName?: string } = {}) => {
        const request = { driveId: drive(0), poolName: 'b', fromNodeId: 'maker', nodeId: 'next', ...change };
        return store().transaction((tx) => tx.moves.take(request));
      };
      expect(await take({ fromNodeId: 'another' })).toBe(false);
      expect(await take({ fromNodeId: null })).toBe(false);
      expect(await take({ poolName: 'c' })).toBe(false);
      expect(await take()).toBe(true);
      expect(await take({ nodeId: 'late' })).toBe(false);
      expect(await store().moves.find(drive(0))).toMatchObject({ nodeId: 'next', state: 'queued' });
      const failed = {
        ...PROGRESS,
        driveId: drive(0),
        nodeId: 'next',
        state: 'failed',
        error: 'No.',
      } as const;
      expect(await store().transaction((tx) => tx.moves.progress(failed))).toBe(true);
      expect(await take({ fromNodeId: 'next', nodeId: 'late' })).toBe(false);
    });

    test('that no node was to make are taken once', async () => {
      await insert(0, 'b', null);
      const take = (nodeId: string): Promise<boolean> =>
        store().transaction((tx) =>
          tx.moves.take({ driveId: drive(0), poolName: 'b', fromNodeId: null, nodeId }),
        );
      const takers = ['first', 'second', 'third', 'fourth'];
      const taken = await Promise.all(takers.map(take));
      expect(taken.filter((isTaken) => isTaken)).toHaveLength(1);
      expect((await store().moves.find(drive(0)))?.nodeId).toBe(takers[taken.indexOf(true)]);
    });

    test('go with their drive', async () => {
      await insert(0);
      await store().transaction((tx) => tx.drives.remove(drive(0)));
      expect(await store().moves.find(drive(0))).toBeNull();
    });

    test('leave volumes behind that are known until they are removed, whatever becomes of the drive', async () => {
      const stray = { volumeName: drive(0), poolName: 'a' };
      await store().transaction(async (tx) => {
        await tx.strays.insert(stray);
        await tx.strays.insert(stray);
        await tx.strays.insert({ volumeName: randomUUID(), poolName: 'b' });
        await tx.drives.remove(drive(0));
      });
      await store().transaction(async (tx) => {
        expect(await tx.strays.list('a', { after: null, limit: 10 })).toEqual([stray]);
        expect(await tx.strays.list('a', { after: drive(0), limit: 10 })).toEqual([]);
        expect(await tx.strays.list('b', { after: null, limit: 10 })).toHaveLength(1);
        expect(await tx.strays.has(stray)).toBe(true);
        expect(await tx.strays.has({ ...stray, poolName: 'b' })).toBe(false);
        await tx.strays.remove(stray);
        expect(await tx.strays.has(stray)).toBe(false);
      });
    });

    test('drives that avoid each other are found from both sides, while both exist', async () => {
      await store().transaction(async (tx) => {
        await tx.drives.insertAvoided(drive(0), [drive(1), drive(2), drive(1)]);
        await tx.drives.insertAvoided(drive(3), [drive(0)]);
        await tx.drives.insertAvoided(drive(1), []);
      });
      const apart = async (index: number): Promise<readonly string[]> =>
        (await store().drives.listApart(drive(index))).map(({ driveId }) => driveId);
      expect(await apart(0)).toEqual([drive(1), drive(2), drive(3)].toSorted());
      expect(await apart(1)).toEqual([drive(0)]);
      await store().transaction((tx) => tx.drives.remove(drive(1)));
      expect(await apart(0)).toEqual([drive(2), drive(3)].toSorted());
      await store().transaction((tx) => tx.drives.remove(drive(0)));
      expect(await apart(3)).toEqual([]);
    });
  });
}
