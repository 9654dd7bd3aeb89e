import type { Drive } from '../core/drive.ts';
import { DriveError } from '../core/errors.ts';
import { refuseMoving } from '../core/move.ts';
import type { MetadataTransaction } from '../metadata/metadata-store.ts';
import type { ServiceContext } from './service-context.ts';

/**
 * Throws a DriveError unless a server may reach the drive in its cluster. Who has an image open cannot be told apart there,
 * so it is one server at a time.
 */
export async function refuseDirectClaim(
  { directVolumes }: Pick<ServiceContext, 'directVolumes'>,
  tx: MetadataTransaction,
  { driveId, poolName, claimType }: Drive,
): Promise<void> {
  if (!directVolumes.isPossibleIn(poolName)) {
    throw new DriveError('usage', `Drive ${driveId} is in no pool in Ceph: it cannot be claimed by rbd.`, {
      drive: driveId,
    });
  }
  if (claimType === 'shared') {
    throw new DriveError(
      'usage',
      `Drive ${driveId} is shared: by rbd one server at a time can hold a drive, whose claim:type is to be exclusive.`,
      { drive: driveId },
    );
  }
  refuseMoving(await tx.moves.find(driveId), 'claimed by rbd');
}
