import type { Drive } from '../core/drive.ts';
import { NO_COUNTERS } from '../core/drive.ts';
import { NO_LIMITS } from '../core/drive-limits.ts';
import type { Conversion, ImagingJob } from '../core/imaging.ts';
import type { ImagingMetadata, ImagingTransaction } from './imaging-metadata.ts';

// For tests: the queue and the drives of the metadata, in memory.

export interface ScratchQueue extends ImagingMetadata {
  readonly jobs: ImagingJob[];
  readonly drivesById: Map<string, Drive>;
  addDrive(driveId: string, sizeBytes: number, poolName?: string): void;
  addJob(job: { source: string; target: string; conversion?: Conversion } & Partial<ImagingJob>): string;
  /** Every state of progress that was recorded, in order. */
  readonly recorded: {
    jobId: string;
    checkpointBytes: number | null;
    doneBytes: number;
    totalBytes: number;
  }[];
  /** Volumes that are to be removed, each as `POOL NAME`. */
  readonly strays: Set<string>;
  /** While set, every transaction fails with this. */
  failure: Error | null;
}

export function createScratchQueue(): ScratchQueue {
  const jobs: ImagingJob[] = [];
  const drivesById = new Map<string, Drive>();
  const recorded: ScratchQueue['recorded'] = [];
  const strays = new Set<string>();
  const tx = createTransaction({ jobs, drivesById, recorded, strays });
  let last: Promise<unknown> = Promise.resolve();
  const queue: ScratchQueue = {
    jobs,
    drivesById,
    recorded,
    strays,
    failure: null,
    drives: tx.drives,
    imaging: { list: (limit) => Promise.resolve(jobs.slice(0, limit)) },
    async transaction(work) {
      const result = last.then(async () => {
        if (queue.failure !== null) throw queue.failure;
        return await work(tx);
      });
      last = result.catch(() => {});
      return await result;
    },
    addDrive(driveId, sizeBytes, poolName = 'default') {
      drivesById.set(driveId, scratchDriveRow(driveId, sizeBytes, poolName));
    },
    addJob({ source, target, conversion = 'plain', ...rest }) {
      const jobId = `job-${target}`;
      const names = { jobId, targetDriveId: target, sourceDriveId: source, conversion };
      const fresh = {
        state: 'queued',
        leaseOwner: null,
        leaseExpiresAtMs: null,
        checkpointBytes: null,
      } as const;
      jobs.push({ ...names, ...fresh, doneBytes: 0, totalBytes: 0, createdAtMs: jobs.length, ...rest });
      return jobId;
    },
  };
  return queue;
}

function createTransaction({
  jobs,
  drivesById,
  recorded,
  strays,
}: Pick<ScratchQueue, 'jobs' | 'drivesById' | 'recorded' | 'strays'>): ImagingTransaction {
  function indexOfHeld(held: { jobId: string; leaseOwner: string }): number {
    return jobs.findIndex((job) => job.jobId === held.jobId && job.leaseOwner === held.leaseOwner);
  }

  function change(index: number, changes: Partial<ImagingJob>): boolean {
    const job = jobs[index];
    if (job !== undefined) jobs[index] = { ...job, ...changes };
    return job !== undefined;
  }

  return {
    drives: {
      find: (driveId) => Promise.resolve(drivesById.get(driveId) ?? null),
      async update(drive) {
        drivesById.set(drive.driveId, drive);
      },
    },
    imaging: {
      async lease({ leaseOwner, nowMs, leaseExpiresAtMs, exceptJobIds = [], exceptPools = [] }) {
        const isElsewhere = (driveId: string): boolean =>
          exceptPools.includes(drivesById.get(driveId)?.poolName ?? '');
        const index = jobs.findIndex(
          (job) =>
            !exceptJobIds.includes(job.jobId) &&
            ![job.targetDriveId, job.sourceDriveId].some(isElsewhere) &&
            (job.leaseExpiresAtMs ?? 0) <= nowMs,
        );
        change(index, { state: 'running', leaseOwner, leaseExpiresAtMs });
        return jobs[index] ?? null;
      },
      async progress({ jobId, leaseOwner, ...progress }) {
        recorded.push({ jobId, ...progress });
        return change(indexOfHeld({ jobId, leaseOwner }), progress);
      },
      async unlease(held) {
        return change(indexOfHeld(held), { state: 'queued', leaseOwner: null, leaseExpiresAtMs: null });
      },
      async remove(held) {
        const index = indexOfHeld(held);
        return index !== -1 && jobs.splice(index, 1).length === 1;
      },
    },
    strays: {
      insert: async ({ poolName, volumeName }) => void strays.add(`${poolName} ${volumeName}`),
      remove: async ({ poolName, volumeName }) => void strays.delete(`${poolName} ${volumeName}`),
    },
  };
}

function scratchDriveRow(driveId: string, sizeBytes: number, poolName: string): Drive {
  return {
    driveId,
    userId: 'user',
    name: null,
    sizeBytes,
    claimType: 'exclusive',
    cipher: 'none',
    tier: 'disk',
    poolName,
    volumeName: driveId,
    state: 'ready',
    readers: [],
    tags: [],
    attributes: {},
    counters: NO_COUNTERS,
    limits: NO_LIMITS,
    directEpoch: null,
    imagingError: null,
    createdAtMs: 0,
  };
}
