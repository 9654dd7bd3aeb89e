import type { Drive } from '../core/drive.ts';
import type { ImagingJob } from '../core/imaging.ts';
import type { Pools } from '../data-workers/pools.ts';
import type { VolumeSpec } from '../data-workers/volume.ts';
import type { ImagingMetadata } from './imaging-metadata.ts';
import type { ImagingThreadClient } from './imaging-thread-client.ts';
import { createImagingThreads } from './imaging-threads.ts';
import type { ImagingThreads } from './imaging-threads.ts';
import { releaseOwnLeases } from './job-ending.ts';
import { startJob } from './job-start.ts';
import type { StartedJob } from './job-start.ts';
import { createPump } from '../runtime/pump.ts';
import { createWaitingJobs } from './waiting-jobs.ts';

/** Works through the imaging queue. */
export interface ImagingRunner {
  /** Takes up again what this node was working on in its previous life, and begins. */
  start(): Promise<void>;
  /** Says that a job was added. */
  wake(): void;
  /** Stops every job where it can continue and puts it back into the queue. Can be repeated. */
  stop(): Promise<void>;
}

export interface ImagingLimits {
  /** Jobs that run at once; those that wait for a stalled pool do not count. */
  readonly parallelJobs: number;
  /** Threads that one plain copy may take. */
  readonly threadsPerJob: number;
  /** How long a job stays ours without a sign of life. */
  readonly leaseMs: number;
  /** How often progress is recorded and the lease renewed. */
  readonly progressMs: number;
  readonly checkpointMs: number;
  /** How often to look for jobs that nobody told us of, and how long to wait before a failed attempt is repeated. */
  readonly pollMs: number;
  /** How long a thread without work is kept. */
  readonly idleMs: number;
  /** How long `stop` waits for threads whose disk does not answer. */
  readonly stopMs: number;
}

export const IMAGING_LIMITS: ImagingLimits = {
  parallelJobs: 2,
  threadsPerJob: 2,
  leaseMs: 30_000,
  progressMs: 1_000,
  checkpointMs: 2_000,
  pollMs: 5_000,
  idleMs: 10_000,
  stopMs: 10_000,
};

/** For the log: an imaging that takes as long as copying does. */
export interface UnsharedImaging {
  readonly source: string;
  readonly target: string;
  readonly reason: string;
}

export interface ImagingRunnerOptions {
  readonly metadata: ImagingMetadata;
  readonly specOf: (drive: Drive) => Promise<VolumeSpec>;
  readonly pools: Pick<Pools, 'statusOf' | 'admit' | 'refresh'>;
  readonly startThread: () => ImagingThreadClient;
  /** Waits until writes to the target that began before the job was queued have ended. */
  readonly beforeStart: (job: ImagingJob) => Promise<void>;
  readonly nodeId: string;
  /** The pools that only other nodes can reach. */
  readonly otherPools: () => readonly string[];
  readonly now: () => number;
  /** Random bytes for names. */
  readonly randomBytes: (lengthBytes: number) => Uint8Array;
  /** Told of a pool in which a job has ended that may have left volumes there which are to be removed. */
  readonly onLeft: (poolName: string) => void;
  /** Says why a job copies whose drives lie in one pool. */
  readonly reportUnshared: (imaging: UnsharedImaging) => void;
  readonly reportFailure: (error: unknown, doing: string) => void;
  readonly limits: ImagingLimits;
}

/** Makes the runner of this node's imaging. */
export function createImagingRunner(options: ImagingRunnerOptions): ImagingRunner {
  const { metadata, limits, nodeId, now } = options;
  const threads: ImagingThreads = createImagingThreads({ start: options.startThread, idleMs: limits.idleMs });
  const running = new Map<string, StartedJob>();
  const waiting = createWaitingJobs({ waitMs: limits.pollMs, now });
  const pump = createPump(fill, (error) => options.reportFailure(error, 'taking up imagings'));
  let isStopping = false;
  let timer: NodeJS.Timeout | null = null;

  function hasFreePlace(): boolean {
    const busy = [...running.values()].filter((started) => !started.isStalled());
    return !isStopping && busy.length < limits.parallelJobs && !waiting.isFull();
  }

  function launch(job: ImagingJob, leasedAtNs: bigint): void {
    const started = startJob(job, leasedAtNs, { ...options, threads });
    running.set(job.jobId, started);
    void started.ended.then((outcome) => {
      running.delete(job.jobId);
      if (outcome === 'waiting') waiting.add(job.jobId);
      wake();
    });
  }

  async function fill(): Promise<void> {
    while (hasFreePlace()) {
      const leasedAtNs = process.hrtime.bigint();
      const job = await leaseNext(options, [...waiting.list(), ...running.keys()]);
      if (job === null) return;
      launch(job, leasedAtNs);
    }
  }

  function wake(): void {
    if (timer !== null && !isStopping) pump.wake();
  }

  return {
    async start() {
      await releaseOwnLeases(metadata, nodeId);
      timer = setInterval(wake, limits.pollMs);
      wake();
    },
    wake,
    async stop() {
      isStopping = true;
      if (timer !== null) clearInterval(timer);
      await pump.settled();
      for (const started of running.values()) started.stop();
      const ended = Promise.all([...running.values()].map((started) => started.ended));
      await Promise.race([ended, elapsed(limits.stopMs)]);
      await Promise.race([threads.stop(), elapsed(limits.stopMs)]);
    },
  };
}

async function leaseNext(
  { metadata, nodeId, now, otherPools, limits }: ImagingRunnerOptions,
  exceptJobIds: readonly string[],
): Promise<ImagingJob | null> {
  const nowMs = now();
  const lease = { leaseOwner: nodeId, nowMs, leaseExpiresAtMs: nowMs + limits.leaseMs };
  const exceptPools = otherPools();
  return await metadata.transaction((tx) => tx.imaging.lease({ ...lease, exceptJobIds, exceptPools }));
}

async function elapsed(ms: number): Promise<void> {
  await new Promise<void>((resolve) => {
    setTimeout(resolve, ms).unref();
  });
}
