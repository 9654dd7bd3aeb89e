import { DriveError } from '../core/errors.ts';
import type { ImagingJob } from '../core/imaging.ts';
import type { VolumeSpec } from '../data-workers/volume.ts';
import { createSharedVolume, mayShareBlocks } from './block-sharing.ts';
import type { SharedVolume } from './block-sharing.ts';
import type { ImagingRunnerOptions } from './imaging-runner.ts';
import type { ImagingThreads } from './imaging-threads.ts';
import { createJobControl } from './job-control.ts';
import type { JobControl } from './job-control.ts';
import { endJob } from './job-ending.ts';
import { isPoolError, isUnexpected, outcomeOf } from './job-outcome.ts';
import type { JobOutcome } from './job-outcome.ts';
import { runJob } from './job-run.ts';
import type { JobProgress } from './job-run.ts';
import { keepLease } from './lease-keeper.ts';
import type { LeaseKeeper } from './lease-keeper.ts';

/** A job that this node works on. */
export interface StartedJob {
  /** Whether it waits for a pool that does not answer. */
  isStalled(): boolean;
  stop(): void;
  /** Resolves, never rejects, once nothing is written any more and the outcome is recorded. */
  readonly ended: Promise<JobOutcome['kind']>;
}

type JobContext = ImagingRunnerOptions & { readonly threads: ImagingThreads };

interface Drives {
  readonly source: VolumeSpec;
  readonly target: VolumeSpec;
}

/** What belongs to one run of a job. */
interface Attempt {
  readonly job: ImagingJob;
  readonly control: JobControl;
  readonly progress: JobProgress;
  readonly lease: LeaseKeeper;
  readonly sharedVolume: SharedVolume;
  readonly context: JobContext;
}

/** Begins to work on a job under a lease that was taken at this moment. */
export function startJob(job: ImagingJob, leasedAtNs: bigint, context: JobContext): StartedJob {
  const { pools, limits } = context;
  const control = createJobControl();
  control.extend(limits.leaseMs, leasedAtNs);
  const progress: JobProgress = {
    checkpointBytes: job.checkpointBytes,
    doneBeforeBytes: job.doneBytes,
    totalBytes: job.totalBytes,
  };
  const lease = keepLease({ ...context, ...limits, job, control, progress });
  const sharedVolume = createSharedVolume({ ...context, job });
  const attempt: Attempt = { job, control, progress, lease, sharedVolume, context };
  let drives: Drives | null = null;

  function hasPoolAway(): boolean {
    const specs = drives === null ? [] : [drives.source, drives.target];
    return specs.some((spec) => !pools.statusOf(spec.poolName).isActive);
  }

  async function work(): Promise<JobOutcome> {
    try {
      drives = await resolveDrives(job, context);
      requireActive(drives, context);
      await context.beforeStart(job);
      return { kind: 'done', volumeName: await run(attempt, drives) };
    } catch (error) {
      if (isUnexpected(error)) context.reportFailure(error, `imaging drive ${job.targetDriveId}`);
      if (isPoolError(error)) await refreshPools(context);
      // An error of a pool that has gone away meanwhile is no fault of the job, which waits for the pool instead.
      return isPoolError(error) && hasPoolAway() ? { kind: 'waiting' } : outcomeOf(error, drives);
    }
  }

  return {
    isStalled: hasPoolAway,
    stop: () => control.stop(),
    ended: work().then(async (outcome) => {
      const kind = await settle(outcome, attempt);
      await leaveVolumes(attempt, drives);
      return kind;
    }),
  };
}

async function run(
  { job, control, progress, lease, sharedVolume, context }: Attempt,
  drives: Drives,
): Promise<string | null> {
  const { limits, pools, threads } = context;
  return await runJob({
    ...drives,
    job,
    control,
    progress,
    sharedVolume,
    threads,
    reportUnshared: (reason) =>
      context.reportUnshared({ source: job.sourceDriveId, target: job.targetDriveId, reason }),
    record: async () => await lease.record(),
    maxThreads: limits.threadsPerJob,
    checkpointMs: limits.checkpointMs,
    admit: async (lengthBytes) => {
      const done = await pools.admit(drives.target.poolName, lengthBytes);
      return () => done(lengthBytes);
    },
  });
}

async function refreshPools({ pools, reportFailure }: JobContext): Promise<void> {
  try {
    await pools.refresh();
  } catch (error) {
    reportFailure(error, 'looking at the pools');
  }
}

/** Has removed what this attempt, or an earlier one, has made and the target has not become, and what it has been until now. */
async function leaveVolumes({ job, sharedVolume, context }: Attempt, drives: Drives | null): Promise<void> {
  if (drives === null || !mayShareBlocks(job, drives)) return;
  try {
    await sharedVolume.leave();
    context.onLeft(drives.target.poolName);
  } catch (error) {
    context.reportFailure(
      error,
      `noting what imaging ${job.jobId} has left in pool ${drives.target.poolName}`,
    );
  }
}

/** Records the outcome, again and again while the lease holds: a job that is done should not be done twice. */
async function settle(
  outcome: JobOutcome,
  { job, control, lease, context }: Attempt,
): Promise<JobOutcome['kind']> {
  const { metadata, nodeId, limits, reportFailure } = context;
  const giveUpAtMs = context.now() + limits.leaseMs;
  if (outcome.kind !== 'done' && outcome.kind !== 'failed') await lease.record().catch(() => {});
  await lease.end();
  control.stop();
  while (!lease.isLost) {
    try {
      await endJob(metadata, { job, nodeId, outcome });
      break;
    } catch (error) {
      reportFailure(error, `recording the end of imaging ${job.jobId}`);
      if (context.now() > giveUpAtMs) break;
      await new Promise((resolve) => {
        setTimeout(resolve, limits.progressMs);
      });
    }
  }
  return outcome.kind;
}

async function resolveDrives(job: ImagingJob, { metadata, specOf }: JobContext): Promise<Drives> {
  const [source, target] = await Promise.all([
    metadata.drives.find(job.sourceDriveId),
    metadata.drives.find(job.targetDriveId),
  ]);
  if (source === null || target === null) {
    const driveId = source === null ? job.sourceDriveId : job.targetDriveId;
    throw new DriveError('missing', `Drive ${driveId} is there no more.`, { drive: driveId });
  }
  return { source: await specOf(source), target: await specOf(target) };
}

function requireActive({ source, target }: Drives, { pools }: JobContext): void {
  for (const { poolName } of [source, target]) {
    const status = pools.statusOf(poolName);
    if (!status.isActive) throw new DriveError('system', status.reason, { pool: poolName });
  }
}
