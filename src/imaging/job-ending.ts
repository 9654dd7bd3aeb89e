import type { Drive } from '../core/drive.ts';
import type { ImagingJob } from '../core/imaging.ts';
import type { ImagingMetadata, ImagingTransaction } from './imaging-metadata.ts';
import type { JobOutcome } from './job-outcome.ts';

/** Jobs of a previous life that are looked for at start; they are among the oldest. */
const MAX_LISTED = 10_000;

/**
 * Records how a job ended, in one transaction: done and failed jobs are gone, with the new volume or the reason on the target;
 * others go back into the queue. Nothing happens when the lease is no longer this node's.
 */
export async function endJob(
  metadata: Pick<ImagingMetadata, 'transaction'>,
  { job, nodeId, outcome }: { job: ImagingJob; nodeId: string; outcome: JobOutcome },
): Promise<void> {
  const held = { jobId: job.jobId, leaseOwner: nodeId };
  await metadata.transaction(async (tx) => {
    if (outcome.kind === 'stopped' || outcome.kind === 'waiting') {
      await tx.imaging.unlease(held);
      return;
    }
    const wasHeld = await tx.imaging.remove(held);
    if (!wasHeld) return;
    const target = await tx.drives.find(job.targetDriveId);
    if (target === null) return;
    if (outcome.kind === 'failed') await tx.drives.update({ ...target, imagingError: outcome.sentence });
    else if (outcome.volumeName !== null) await replaceVolume(tx, target, outcome.volumeName);
  });
}

/** Gives the drive a volume that was known as one to be removed; the one that it has had is to be removed instead. */
async function replaceVolume(tx: ImagingTransaction, drive: Drive, volumeName: string): Promise<void> {
  const { poolName } = drive;
  await tx.drives.update({ ...drive, volumeName });
  await tx.strays.remove({ poolName, volumeName });
  await tx.strays.insert({ poolName, volumeName: drive.volumeName });
}

/** Puts back into the queue what this node held when it last ended without a word: nobody works on that any more. */
export async function releaseOwnLeases(metadata: ImagingMetadata, nodeId: string): Promise<void> {
  const jobs = await metadata.imaging.list(MAX_LISTED);
  const own = jobs.filter((job) => job.leaseOwner === nodeId);
  if (own.length === 0) return;
  await metadata.transaction(async (tx) => {
    for (const { jobId } of own) await tx.imaging.unlease({ jobId, leaseOwner: nodeId });
  });
}
