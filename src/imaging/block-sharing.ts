import type { ImagingJob } from '../core/imaging.ts';
import { newVolumeName } from '../core/volume-name.ts';
import type { StoredVolume, VolumeSpec } from '../data-workers/volume.ts';
import type { ImagingMetadata } from './imaging-metadata.ts';

/**
 * The volume that one attempt at a job makes by sharing the source's blocks. It becomes the target's own in the transaction that
 * ends the job. Until then, and whatever happens before, it is known as one that is to be removed; nobody does so as long as
 * there is the job. Each attempt makes another one, so that none can come in the way of another.
 */
export interface SharedVolume {
  /** Takes note of the volume in this pool before there is any, and says its name. */
  announce(poolName: string): Promise<string>;
  /** Once the attempt is over: if the volume has not become the target's own it is to be removed. */
  leave(): Promise<void>;
}

export function createSharedVolume(options: {
  readonly metadata: Pick<ImagingMetadata, 'transaction'>;
  readonly job: Pick<ImagingJob, 'targetDriveId'>;
  readonly randomBytes: (lengthBytes: number) => Uint8Array;
}): SharedVolume {
  const { metadata, job, randomBytes } = options;
  let volume: StoredVolume | null = null;
  return {
    async announce(poolName) {
      const announced = { volumeName: newVolumeName(job.targetDriveId, randomBytes), poolName };
      volume = announced;
      await metadata.transaction((tx) => tx.strays.insert(announced));
      return announced.volumeName;
    },
    async leave() {
      const left = volume;
      if (left === null) return;
      await metadata.transaction(async (tx) => {
        const target = await tx.drives.find(job.targetDriveId);
        // Whoever has ended the job may have looked before the volume was there.
        if (target?.volumeName !== left.volumeName) await tx.strays.insert(left);
      });
    },
  };
}

/** Whether the drives' bytes are stored alike, in one pool: those of an encrypted drive are encrypted with its own key. */
export function mayShareBlocks(
  { conversion }: Pick<ImagingJob, 'conversion'>,
  { source, target }: { source: VolumeSpec; target: VolumeSpec },
): boolean {
  const isPlain = source.volumeKey === null && target.volumeKey === null;
  return conversion === 'plain' && isPlain && source.poolName === target.poolName;
}
