import type { User } from '../core/user.ts';
import { cancelMoveInside, finishCancel } from './cancel-move.ts';
import { findLiveClaims, refuseClaimed } from './claim-checks.ts';
import { noticeNodes, untilHeeded } from './node-notices.ts';
import { beginDestroyInside, finishDestroy } from './drive-removal.ts';
import { findOwned, refuseImagingSource, refuseImagingTarget } from './drive-lookup.ts';
import type { ServiceContext } from './service-context.ts';

/**
 * Destroys a drive, and ends its move. Its key is forgotten first, so that its data cannot be read back whatever happens next; when this
 * returns its space is the pool's again, or will be once a pool that is away has come back.
 *
 * @throws DriveError busy while it is claimed or imaging
 */
export async function destroyDrive(context: ServiceContext, actor: User, driveId: string): Promise<void> {
  const { destroying, left, sent } = await context.metadata.transaction(async (tx) => {
    const drive = await findOwned(tx.drives, actor.userId, driveId);
    const jobs = await tx.imaging.listTouching([driveId]);
    refuseImagingTarget(drive, jobs, 'destroyed');
    refuseImagingSource(drive, jobs, 'destroyed');
    refuseClaimed(drive, await findLiveClaims(tx.claims, driveId, context), 'destroyed');
    const left = await cancelMoveInside(tx, driveId);
    const sent = await noticeNodes(context, tx, drive);
    return { destroying: await beginDestroyInside(tx, drive, 'destroyed'), left, sent };
  });
  context.volumeKeys.forget(driveId);
  await finishCancel(context, driveId, left);
  if (!context.pools.statusOf(destroying.poolName).isActive) return;
  try {
    await untilHeeded(context, driveId, sent);
    await finishDestroy(context, destroying);
  } catch (error) {
    // The drive is gone for its owner; the rest is done at the next start.
    context.reportFailure(error, `removing the volume of destroyed drive ${driveId}`);
  }
}
