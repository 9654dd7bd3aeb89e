import type { Drive } from '../core/drive.ts';
import type { User } from '../core/user.ts';
import { describeDrive } from './drive-info.ts';
import type { Info, InfoDetail } from './service.ts';
import type { ServiceContext } from './service-context.ts';

/** Drive info of one drive as it is now, for a viewer who may see it; null sees all. */
export async function showDrive(
  context: ServiceContext,
  drive: Drive,
  viewer: User | null,
  detail: InfoDetail = 'brief',
): Promise<Info> {
  const jobs = await context.metadata.imaging.listTouching([drive.driveId]);
  const { isActive } = context.pools.statusOf(drive.poolName);
  return describeDrive(drive, { isActive, jobs }, { viewerId: viewer?.userId ?? null, detail });
}

/** The same of a page of drives, with one look at the imaging queue. */
export async function showDrives(
  context: ServiceContext,
  drives: readonly Drive[],
  view: { viewerId: string | null; detail: InfoDetail },
): Promise<readonly Info[]> {
  const jobs = await context.metadata.imaging.listTouching(drives.map((drive) => drive.driveId));
  return drives.map((drive) => {
    const { isActive } = context.pools.statusOf(drive.poolName);
    const own = jobs.filter(
      (job) => job.targetDriveId === drive.driveId || job.sourceDriveId === drive.driveId,
    );
    return describeDrive(drive, { isActive, jobs: own }, view);
  });
}
