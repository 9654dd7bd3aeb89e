import type { Drive } from '../core/drive.ts';
import { changeLimits } from '../core/drive-limits.ts';
import type { DriveLimitsChange } from '../core/drive-limits.ts';
import { DriveError } from '../core/errors.ts';
import { findAny } from './drive-lookup.ts';
import { noticeNodes } from './node-notices.ts';
import type { Info } from './service.ts';
import type { ServiceContext } from './service-context.ts';
import { showDrive } from './show-drive.ts';

/**
 * Changes the limits of a drive's I/O; what is not given stays as it is.
 *
 * @throws DriveError usage for a limit of nothing, and for a burst without the rate that it belongs to
 */
export async function setDriveLimits(
  context: ServiceContext,
  driveId: string,
  change: DriveLimitsChange,
): Promise<Info> {
  if (Object.values(change).some((limit) => limit !== undefined && limit !== null && limit < 1)) {
    throw new DriveError('usage', 'A limit is at least 1; given empty it is removed.', { drive: driveId });
  }
  const drive = await context.metadata.transaction(async (tx) => {
    const before = await findAny(tx.drives, driveId);
    const after: Drive = { ...before, limits: changeLimits(before.limits, change) };
    refuseLostBurst(change.iopsBurst, after.limits.iopsBurst, 'iops');
    refuseLostBurst(change.burstBytes, after.limits.burstBytes, 'bytes');
    await tx.drives.update(after);
    await noticeNodes(context, tx, after);
    return after;
  });
  context.connections.limitsChanged(driveId);
  return await showDrive(context, drive, null, 'full');
}

function refuseLostBurst(given: number | null | undefined, after: number | null, rate: string): void {
  if (given === undefined || given === after) return;
  throw new DriveError('usage', `${rate}:burst needs ${rate}, which this drive has not.`);
}
