import { randomUUID } from 'node:crypto';
import { beforeEach, describe, expect, test } from 'vitest';
import type { ImagingJob } from '../core/imaging.ts';
import { insertDrives, insertUser, sampleDrive } from './describe-sample-rows.ts';
import type { MetadataStore } from './metadata-store.ts';

export function describeImagingQueries(store: () => MetadataStore): void {
  describe('imaging jobs', () => {
    let driveIds: readonly string[] = [];

    beforeEach(async () => {
      const user = await insertUser(store());
      const drives = Array.from({ length: 6 }, () => sampleDrive(user.userId));
      await insertDrives(store(), drives);
      driveIds = drives.map((drive) => drive.driveId);
    });

    function drive(index: number): string {
      return driveIds[index] ?? '';
    }

    async function insert(target: number, source: number): Promise<ImagingJob> {
      const job = {
        jobId: randomUUID(),
        targetDriveId: drive(target),
        sourceDriveId: drive(source),
        conversion: 'gunzip',
        totalBytes: 2 ** 50,
        createdAtMs: 5,
      } as const;
      await store().transaction((tx) => tx.imaging.insert(job));
      const idle = { leaseOwner: null, leaseExpiresAtMs: null, checkpointBytes: null, doneBytes: 0 };
      return { ...job, ...idle, state: 'queued' };
    }

    function lease(
      leaseOwner: string,
      nowMs: number,
      leaseExpiresAtMs = nowMs + 10,
    ): Promise<ImagingJob | null> {
      return store().transaction((tx) => tx.imaging.lease({ leaseOwner, nowMs, leaseExpiresAtMs }));
    }

    test('are queued as they came, and found by what they touch', async () => {
      const first = await insert(0, 1);
      const second = await insert(2, 1);
      const third = await insert(1, 3);
      expect(await store().imaging.findByTarget(drive(2))).toEqual(second);
      expect(await store().imaging.findByTarget(drive(3))).toBeNull();
      expect(await store().imaging.list(10)).toEqual([first, second, third]);
      expect(await store().imaging.list(2)).toEqual([first, second]);
      expect(await store().imaging.listTouching([drive(1)])).toEqual([first, second, third]);
      expect(await store().imaging.listTouching([drive(3), drive(2)])).toEqual([second, third]);
      expect(await store().imaging.listTouching([drive(4)])).toEqual([]);
      expect(await store().imaging.listTouching([])).toEqual([]);
    });

    test('are found among hundreds of drives', async () => {
      const job = await insert(0, 1);
      const many = Array.from({ length: 999 }, () => randomUUID());
      expect(await store().imaging.listTouching([...many, drive(1)])).toEqual([job]);
    });

    test('of one target are refused while it has one', async () => {
      await insert(0, 1);
      await expect(insert(0, 2)).rejects.toMatchObject({ code: 'busy' });
      expect(await store().imaging.list(10)).toHaveLength(1);
    });

    test('are leased oldest first, each to one owner', async () => {
      const first = await insert(0, 1);
      const second = await insert(2, 1);
      const running = { state: 'running', leaseOwner: 'a', leaseExpiresAtMs: 10 } as const;
      expect(await lease('a', 0)).toEqual({ ...first, ...running });
      expect(await lease('b', 0)).toEqual({ ...second, ...running, leaseOwner: 'b' });
      expect(await lease('c', 0)).toBeNull();
      expect(await store().imaging.findByTarget(drive(0))).toEqual({ ...first, ...running });
    });

    test('that are named are passed over, for as long as they are named', async () => {
      const first = await insert(0, 1);
      const second = await insert(2, 1);
      const passOver = (exceptJobIds: readonly string[]) =>
        store().transaction((tx) =>
          tx.imaging.lease({ leaseOwner: 'a', nowMs: 0, leaseExpiresAtMs: 10, exceptJobIds }),
        );
      expect(await passOver([first.jobId, second.jobId])).toBeNull();
      expect((await passOver([first.jobId]))?.jobId).toBe(second.jobId);
      expect((await passOver([]))?.jobId).toBe(first.jobId);
    });

    test('with a drive in a pool that is left out are passed over, be it their target or their source', async () => {
      const owner = await insertUser(store());
      const elsewhere = sampleDrive(owner.userId, { driveId: randomUUID(), poolName: 'theirs' });
      await insertDrives(store(), [elsewhere]);
      const put = async (target: string, source: string) => {
        const job = { jobId: randomUUID(), targetDriveId: target, sourceDriveId: source, createdAtMs: 1 };
        await store().transaction((tx) => tx.imaging.insert({ ...job, conversion: 'plain', totalBytes: 1 }));
        return job.jobId;
      };
      const onto = await put(elsewhere.driveId, drive(0));
      const from = await put(drive(1), elsewhere.driveId);
      const gone = await put(drive(2), randomUUID());
      const leased = async (...exceptPools: readonly string[]) =>
        (
          await store().transaction((tx) =>
            tx.imaging.lease({ leaseOwner: 'a', nowMs: 0, leaseExpiresAtMs: 10, exceptPools }),
          )
        )?.jobId;
      expect(await leased('theirs', 'nobodys')).toBe(gone);
      expect(await leased('theirs')).toBeUndefined();
      expect([await leased('nobodys'), await leased()]).toEqual([onto, from]);
    });

    test('are leased once when many ask at the same time', async () => {
      await insert(0, 1);
      await insert(2, 1);
      const leased = await Promise.all(['a', 'b', 'c', 'd', 'e'].map((owner) => lease(owner, 0)));
      expect(leased.filter((job) => job !== null)).toHaveLength(2);
    });

    test('go to another owner when their lease has run out, in the place that they had', async () => {
      const first = await insert(0, 1);
      await insert(2, 1);
      await lease('a', 0, 10);
      expect((await lease('b', 9))?.targetDriveId).toBe(drive(2));
      expect(await lease('b', 9)).toBeNull();
      expect(await lease('b', 10)).toMatchObject({
        jobId: first.jobId,
        leaseOwner: 'b',
        leaseExpiresAtMs: 20,
      });
    });

    test('keep their progress, and lose it to no former owner', async () => {
      const { jobId } = await insert(0, 1);
      await lease('a', 0, 10);
      const progress = { jobId, leaseExpiresAtMs: 50, checkpointBytes: 2 ** 49, doneBytes: 7, totalBytes: 9 };
      const record = (leaseOwner: string) =>
        store().transaction((tx) => tx.imaging.progress({ ...progress, leaseOwner }));
      expect(await record('a')).toBe(true);
      expect(await store().imaging.findByTarget(drive(0))).toMatchObject({ ...progress, leaseOwner: 'a' });
      expect(await lease('b', 49)).toBeNull();
      expect(await lease('b', 50, 60)).toMatchObject({ checkpointBytes: 2 ** 49, doneBytes: 7 });
      expect(await record('a')).toBe(false);
      expect(await store().imaging.findByTarget(drive(0))).toMatchObject({
        leaseOwner: 'b',
        leaseExpiresAtMs: 60,
      });
    });

    test('go back into the queue in their place, with their checkpoint', async () => {
      const { jobId } = await insert(0, 1);
      await insert(2, 1);
      await lease('a', 0);
      const progress = {
        jobId,
        leaseOwner: 'a',
        leaseExpiresAtMs: 10,
        checkpointBytes: 3,
        doneBytes: 4,
        totalBytes: 5,
      };
      await store().transaction((tx) => tx.imaging.progress(progress));
      const unlease = (leaseOwner: string) =>
        store().transaction((tx) => tx.imaging.unlease({ jobId, leaseOwner }));
      expect(await unlease('b')).toBe(false);
      expect(await unlease('a')).toBe(true);
      expect(await unlease('a')).toBe(false);
      const queued = await store().imaging.findByTarget(drive(0));
      expect(queued).toMatchObject({
        state: 'queued',
        leaseOwner: null,
        leaseExpiresAtMs: null,
        checkpointBytes: 3,
      });
      expect(await lease('b', 1)).toMatchObject({ jobId, checkpointBytes: 3, doneBytes: 4 });
    });

    test('end by the hand of their owner only', async () => {
      const { jobId } = await insert(0, 1);
      const remove = (leaseOwner: string) =>
        store().transaction((tx) => tx.imaging.remove({ jobId, leaseOwner }));
      expect(await remove('a')).toBe(false);
      await lease('a', 0);
      expect(await remove('b')).toBe(false);
      expect(await remove('a')).toBe(true);
      expect(await remove('a')).toBe(false);
      expect(await store().imaging.list(10)).toEqual([]);
      await insert(0, 1);
    });

    test('outlive their source', async () => {
      const job = await insert(0, 1);
      await store().transaction((tx) => tx.drives.remove(drive(1)));
      expect(await store().imaging.findByTarget(drive(0))).toEqual(job);
    });
  });
}
