import type { ImagingJob } from '../core/imaging.ts';
import type { ImagingProgress } from '../metadata/metadata-store.ts';
import { ImagingStopped } from './engine-hooks.ts';
import type { ImagingMetadata } from './imaging-metadata.ts';
import type { JobControl } from './job-control.ts';
import type { JobProgress } from './job-run.ts';

/** Keeps a job's lease and its progress in the metadata up to date while it runs. */
export interface LeaseKeeper {
  /** Records the progress now. Rejects with ImagingStopped when the lease is lost. */
  record(): Promise<void>;
  readonly isLost: boolean;
  /** Stops renewing; when it returns, nothing is being recorded any more. */
  end(): Promise<void>;
}

export interface LeaseKeeperOptions {
  readonly metadata: Pick<ImagingMetadata, 'transaction'>;
  readonly job: ImagingJob;
  readonly nodeId: string;
  readonly leaseMs: number;
  readonly progressMs: number;
  readonly control: JobControl;
  readonly progress: JobProgress;
  readonly now: () => number;
  readonly reportFailure: (error: unknown, doing: string) => void;
}

/** Starts renewing. A lost lease stops the job through its control, and so does one that could not be renewed in time. */
export function keepLease(options: LeaseKeeperOptions): LeaseKeeper {
  const { metadata, job, control, progress, leaseMs } = options;
  let isLost = false;
  let recording: Promise<void> = Promise.resolve();
  let isRecording = false;

  function current(): ImagingProgress {
    const doneBytes = progress.doneBeforeBytes + control.doneBytes();
    return {
      jobId: job.jobId,
      leaseOwner: options.nodeId,
      leaseExpiresAtMs: options.now() + leaseMs,
      checkpointBytes: progress.checkpointBytes,
      doneBytes: Math.min(doneBytes, progress.totalBytes),
      totalBytes: progress.totalBytes,
    };
  }

  async function recordOnce(): Promise<void> {
    if (isLost) throw new ImagingStopped();
    // The lease counts from before the transaction, however long that takes.
    const startedNs = process.hrtime.bigint();
    const isKept = await metadata.transaction(async (tx) => await tx.imaging.progress(current()));
    if (isKept) {
      control.extend(leaseMs, startedNs);
      return;
    }
    isLost = true;
    control.stop();
    throw new ImagingStopped();
  }

  async function record(): Promise<void> {
    const result = recording.then(recordOnce);
    recording = result.catch(() => {});
    await result;
  }

  async function renew(): Promise<void> {
    if (isRecording) return;
    isRecording = true;
    try {
      await record();
    } catch (error) {
      if (!(error instanceof ImagingStopped)) options.reportFailure(error, `renewing imaging ${job.jobId}`);
    } finally {
      isRecording = false;
    }
  }

  const timer = setInterval(() => void renew(), options.progressMs);
  return {
    record,
    get isLost() {
      return isLost;
    },
    async end() {
      clearInterval(timer);
      await recording;
    },
  };
}
