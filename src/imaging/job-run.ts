import type { ImagingJob } from '../core/imaging.ts';
import type { VolumeSpec } from '../data-workers/volume.ts';
import { mayShareBlocks } from './block-sharing.ts';
import type { SharedVolume } from './block-sharing.ts';
import { createCopySchedule } from './copy-schedule.ts';
import type { CopySchedule } from './copy-schedule.ts';
import type { Admission, ImagingThreadClient } from './imaging-thread-client.ts';
import type { ImagingThreads } from './imaging-threads.ts';
import type { JobControl } from './job-control.ts';

/** What is known of a job while it runs, for the metadata. */
export interface JobProgress {
  checkpointBytes: number | null;
  /** What was done before this run; what this run has done is in its control. */
  doneBeforeBytes: number;
  totalBytes: number;
}

export interface JobRun {
  readonly job: ImagingJob;
  readonly source: VolumeSpec;
  readonly target: VolumeSpec;
  readonly control: JobControl;
  readonly progress: JobProgress;
  readonly threads: ImagingThreads;
  /** Threads that a plain copy may take. */
  readonly maxThreads: number;
  readonly checkpointMs: number;
  /** Counts bytes against the room of the target's pool; resolves to what must be called once they are written. */
  readonly admit: (lengthBytes: number) => Promise<() => void>;
  /** What is made where blocks can be shared. */
  readonly sharedVolume: Pick<SharedVolume, 'announce'>;
  /** Says why blocks could not be shared, so that they are copied. */
  readonly reportUnshared: (reason: string) => void;
  /** Records progress durably; rejects when the lease is lost. */
  readonly record: () => Promise<void>;
}

/** A further thread is worth its start for this much data. */
const DATA_PER_THREAD_BYTES = 32 * 1024 * 1024;

/**
 * Does a job from its checkpoint to its end, durably. Rejects with ImagingStopped, or with what went wrong.
 *
 * @returns the volume that is to be the target's from now on; null when it is in the one that it has
 */
export async function runJob(run: JobRun): Promise<string | null> {
  const shared = await shareBlocks(run);
  if (shared === null) await copyOrConvert(run);
  return shared;
}

async function copyOrConvert(run: JobRun): Promise<void> {
  const taken: ImagingThreadClient[] = [];
  const admission = createAdmission(run);
  const take = async (): Promise<ImagingThreadClient> => {
    const thread = run.threads.take();
    taken.push(thread);
    thread.admitWith(admission.admit);
    await thread.call('open', { source: run.source, target: run.target, control: run.control.shared });
    return thread;
  };
  try {
    const first = await take();
    const { isTargetEmpty } = await prepareTarget(run, first);
    if (run.job.conversion === 'plain') await copyPlain(run, { first, take, isTargetEmpty });
    else await first.call('convert', { conversion: run.job.conversion });
    await first.call('flush', {});
  } finally {
    admission.end();
    await Promise.allSettled(taken.map((thread) => giveBack(run.threads, thread)));
  }
}

/** Makes the target a new volume that shares the source's blocks, and says its name; null where that cannot be. */
async function shareBlocks(run: JobRun): Promise<string | null> {
  const { job, source, target, threads, control } = run;
  // A copy that was begun goes on, since sharing was not possible.
  if (job.checkpointBytes !== null || !mayShareBlocks(job, run)) return null;
  const thread = threads.take();
  try {
    control.checkRunning();
    const volumeName = await run.sharedVolume.announce(target.poolName);
    const refusal = await thread.call('clone', { source, target: { ...target, volumeName } });
    if (refusal === null) return volumeName;
    run.reportUnshared(refusal);
    return null;
  } finally {
    await giveBack(threads, thread);
  }
}

/** Empties the target unless a copy continues, and finds out how much there is to do. */
async function prepareTarget(run: JobRun, thread: ImagingThreadClient): Promise<{ isTargetEmpty: boolean }> {
  const { job, progress } = run;
  const isForCopy = job.conversion === 'plain';
  const isContinued = isForCopy && job.checkpointBytes !== null;
  const { isEmpty } = isContinued ? { isEmpty: false } : await thread.call('empty', { isForCopy });
  progress.checkpointBytes = isContinued ? job.checkpointBytes : 0;
  const { totalBytes, belowBytes } = await thread.call('measure', {
    belowBytes: progress.checkpointBytes ?? 0,
  });
  progress.doneBeforeBytes = belowBytes;
  progress.totalBytes = totalBytes;
  await run.record();
  return { isTargetEmpty: isEmpty };
}

/** What the threads of a plain copy share. */
interface CopyPlan {
  readonly schedule: CopySchedule;
  readonly isTargetEmpty: boolean;
}

async function copyPlain(
  run: JobRun,
  {
    first,
    take,
    isTargetEmpty,
  }: { first: ImagingThreadClient; take: () => Promise<ImagingThreadClient>; isTargetEmpty: boolean },
): Promise<void> {
  const { progress, source, control } = run;
  const schedule = createCopySchedule((fromBytes) => first.call('plan', { fromBytes, isTargetEmpty }), {
    startBytes: progress.checkpointBytes ?? 0,
    endBytes: source.sizeBytes,
  });
  const plan = { schedule, isTargetEmpty };
  const checkpoints = keepCheckpoints(run, { thread: first, schedule });
  const dataBytes = progress.totalBytes - progress.doneBeforeBytes;
  const threadCount = Math.min(run.maxThreads, Math.max(1, Math.ceil(dataBytes / DATA_PER_THREAD_BYTES)));
  const workers = [copyTasks(run, first, plan)];
  for (let index = 1; index < threadCount; index += 1) {
    workers.push(take().then((thread) => copyTasks(run, thread, plan)));
  }
  // One that fails stops the others; all must have stopped writing before the job is let go of.
  for (const worker of workers) worker.catch(() => control.stop());
  try {
    await settleAll(workers);
  } finally {
    await checkpoints.end();
  }
}

async function copyTasks(
  run: JobRun,
  thread: ImagingThreadClient,
  { schedule, isTargetEmpty }: CopyPlan,
): Promise<void> {
  for (let task = await schedule.next(); task !== null; task = await schedule.next()) {
    run.control.checkRunning();
    const written = await run.admit(task.newBytes);
    try {
      await thread.call('copy', { stretches: task.stretches, isTargetEmpty });
    } finally {
      written();
    }
    schedule.done(task);
  }
}

/** Waits for all, then rejects with what went wrong first. */
async function settleAll(work: readonly Promise<void>[]): Promise<void> {
  let failed: { error: unknown } | null = null;
  await Promise.all(
    work.map((each) =>
      each.catch((error: unknown) => {
        failed ??= { error };
      }),
    ),
  );
  const first = failed as { error: unknown } | null;
  if (first !== null) throw first.error;
}

/** Moves the checkpoint on again and again: first flushes, then says what was done before the flush began. */
function keepCheckpoints(
  run: JobRun,
  { thread, schedule }: { thread: ImagingThreadClient; schedule: CopySchedule },
): { end: () => Promise<void> } {
  let flushing: Promise<void> | null = null;
  // The system tells of a failed flush once: a second one that succeeds must not hide it.
  let failed: { error: unknown } | null = null;

  async function checkpoint(): Promise<void> {
    const doneBelowBytes = schedule.doneBelowBytes;
    if (doneBelowBytes === run.progress.checkpointBytes) return;
    await thread.call('flush', {});
    run.progress.checkpointBytes = doneBelowBytes;
  }

  async function tryCheckpoint(): Promise<void> {
    try {
      await checkpoint();
    } catch (error) {
      failed = { error };
      run.control.stop();
    }
    flushing = null;
  }

  const timer = setInterval(() => {
    if (failed === null) flushing ??= tryCheckpoint();
  }, run.checkpointMs);
  return {
    async end() {
      clearInterval(timer);
      await flushing;
      if (failed !== null) throw failed.error;
      await checkpoint();
    },
  };
}

/** Room that a converting thread has been let in for: each step counts until the next one is asked for. */
function createAdmission({ admit }: JobRun): { admit: Admission; end: () => void } {
  let written: (() => void) | null = null;
  const end = (): void => {
    written?.();
    written = null;
  };
  return {
    async admit(lengthBytes) {
      end();
      written = await admit(lengthBytes);
    },
    end,
  };
}

async function giveBack(threads: ImagingThreads, thread: ImagingThreadClient): Promise<void> {
  try {
    await thread.call('close', {});
  } finally {
    threads.giveBack(thread);
  }
}
