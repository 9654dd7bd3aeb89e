import { isMoving } from '../core/move.ts';
import type { MetadataTransaction, StrayVolume } from '../metadata/metadata-store.ts';
import { findAny } from './drive-lookup.ts';
import type { Info } from './service.ts';
import type { ServiceContext } from './service-context.ts';
import { showDrive } from './show-drive.ts';
import { removeStray } from './stray-removal.ts';

/**
 * Ends the move of a drive, which stays where it was, or forgets one that has failed. Nothing happens when there is none.
 * When this returns the volume in the other pool is gone, or will be once that pool has come back.
 */
export async function cancelMove(context: ServiceContext, driveId: string): Promise<Info> {
  const { drive, left } = await context.metadata.transaction(async (tx) => ({
    drive: await findAny(tx.drives, driveId),
    left: await cancelMoveInside(tx, driveId),
  }));
  await finishCancel(context, driveId, left);
  return await showDrive(context, drive, null, 'full');
}

/** The first half: once committed the drive will not move. Returns the volume that is then to be removed, if any. */
export async function cancelMoveInside(
  tx: MetadataTransaction,
  driveId: string,
): Promise<StrayVolume | null> {
  const move = await tx.moves.find(driveId);
  if (move === null) return null;
  await tx.moves.remove(driveId);
  const drive = await tx.drives.find(driveId);
  if (!isMoving(move) || drive === null) return null;
  const left = { volumeName: drive.volumeName, poolName: move.poolName };
  await tx.strays.insert(left);
  return left;
}

/** The second half: nothing is copied any more when this returns. */
export async function finishCancel(
  context: ServiceContext,
  driveId: string,
  left: StrayVolume | null,
): Promise<void> {
  if (left === null) return;
  await context.moves.end(driveId);
  try {
    await removeStray(context, left);
  } catch (error) {
    // The move has ended; the rest is done at the next start.
    context.reportFailure(error, `removing the copy of drive ${driveId} in pool ${left.poolName}`);
  }
}
