import { mayRead } from '../core/drive.ts';
import type { Drive } from '../core/drive.ts';
import { DriveError, driveMissing } from '../core/errors.ts';
import type { ImagingJob } from '../core/imaging.ts';
import { isUuid } from '../core/uuid.ts';
import type { DriveReader } from '../metadata/metadata-store.ts';

/** The drive, if this user owns it; for anybody else it is missing. */
export async function findOwned(drives: DriveReader, userId: string, driveId: string): Promise<Drive> {
  return await findReady(drives, driveId, (drive) => drive.userId === userId);
}

/** The drive, if this user may read it; for anybody else it is missing. */
export async function findReadable(drives: DriveReader, userId: string, driveId: string): Promise<Drive> {
  return await findReady(drives, driveId, (drive) => mayRead(drive, userId));
}

/** The drive in whoever's possession, for administrators. */
export async function findAny(drives: DriveReader, driveId: string): Promise<Drive> {
  return await findReady(drives, driveId, () => true);
}

async function findReady(
  drives: DriveReader,
  driveId: string,
  mayKnow: (drive: Drive) => boolean,
): Promise<Drive> {
  const drive = isUuid(driveId) ? await drives.find(driveId) : null;
  if (drive === null || drive.state !== 'ready' || !mayKnow(drive)) throw driveMissing(driveId);
  return drive;
}

/** Throws DriveError busy when the drive is the target of one of these jobs. */
export function refuseImagingTarget(drive: Drive, jobs: readonly ImagingJob[], doing: string): void {
  if (jobs.some((job) => job.targetDriveId === drive.driveId)) {
    throw new DriveError(
      'busy',
      `Drive ${drive.driveId} is being imaged: it cannot be ${doing} until that ends.`,
      {
        drive: drive.driveId,
      },
    );
  }
}

/** Throws DriveError busy when the drive is the source of one of these jobs. */
export function refuseImagingSource(drive: Drive, jobs: readonly ImagingJob[], doing: string): void {
  const job = jobs.find((each) => each.sourceDriveId === drive.driveId);
  if (job === undefined) return;
  throw new DriveError(
    'busy',
    `Drive ${drive.driveId} is being imaged onto drive ${job.targetDriveId}: it cannot be ${doing} until that ends.`,
    { drive: drive.driveId, holder: job.targetDriveId },
  );
}
