import type { Drive } from '../core/drive.ts';
import { DriveError } from '../core/errors.ts';
import type { Conversion, ImagingJob } from '../core/imaging.ts';
import { refuseMoving } from '../core/move.ts';
import type { User } from '../core/user.ts';
import type { MetadataTransaction } from '../metadata/metadata-store.ts';
import { liveClaims } from '../core/claim.ts';
import type { Claim } from '../core/claim.ts';
import { refuseClaimed, refuseExclusiveWriter } from './claim-checks.ts';
import { findOwned, findReadable, refuseImagingSource, refuseImagingTarget } from './drive-lookup.ts';
import type { ServiceContext } from './service-context.ts';

export interface ImageDriveRequest {
  readonly targetDriveId: string;
  readonly sourceDriveId: string;
  readonly conversion: Conversion;
}

/**
 * Puts an imaging into the queue. From here on both drives show it; the work is done behind the answer.
 *
 * @throws DriveError usage for the same drive twice, for drives of two nodes, and for a plain copy that is larger than the target; busy when one
 *   of them is claimed or imaging, or the target is moving; full when the target's pool has no room
 */
export async function imageDrive(
  context: ServiceContext,
  actor: User,
  request: ImageDriveRequest,
): Promise<void> {
  const { targetDriveId, sourceDriveId, conversion } = request;
  await context.metadata.transaction(async (tx) => {
    const target = await findOwned(tx.drives, actor.userId, targetDriveId);
    if (targetDriveId === sourceDriveId) {
      throw new DriveError('usage', `Drive ${targetDriveId} cannot be imaged onto itself.`);
    }
    const source = await findReadable(tx.drives, actor.userId, sourceDriveId);
    const jobs = await tx.imaging.listTouching([targetDriveId, sourceDriveId]);
    const claims = await tx.claims.list([targetDriveId, sourceDriveId]);
    checkState(target, source, jobs);
    refuseMoving(await tx.moves.find(targetDriveId), 'imaged');
    checkClaims(target, source, liveClaims(claims, context.now()));
    checkFits(target, source, conversion);
    await checkNodes(tx, target, source);
    checkRoom(context, target);
    await tx.imaging.insert({
      jobId: context.newUuid(),
      targetDriveId,
      sourceDriveId,
      conversion,
      totalBytes: source.sizeBytes,
      createdAtMs: context.now(),
    });
    if (target.imagingError !== null) await tx.drives.update({ ...target, imagingError: null });
  });
  context.wakeImaging();
}

function checkState(target: Drive, source: Drive, jobs: readonly ImagingJob[]): void {
  refuseImagingTarget(target, jobs, 'imaged again');
  refuseImagingSource(target, jobs, 'overwritten');
  refuseImagingTarget(source, jobs, 'a source');
}

/** A source that servers write to and share is copied as it is at the time: they reckon with changes. */
function checkClaims(target: Drive, source: Drive, live: readonly Claim[]): void {
  const of = (drive: Drive): readonly Claim[] => live.filter((claim) => claim.driveId === drive.driveId);
  refuseClaimed(target, of(target), 'imaged');
  refuseExclusiveWriter(source, of(source), 'a source');
}

function checkFits(target: Drive, source: Drive, conversion: Conversion): void {
  if (conversion !== 'plain' || source.sizeBytes <= target.sizeBytes) return;
  throw new DriveError(
    'usage',
    `Drive ${source.driveId} has ${source.sizeBytes} bytes, more than the ${target.sizeBytes} of drive ${target.driveId}.`,
    { drive: target.driveId, source: source.driveId },
  );
}

/** Throws DriveError usage when no node can reach both drives. */
async function checkNodes(tx: MetadataTransaction, target: Drive, source: Drive): Promise<void> {
  const pools = await tx.nodes.listPools();
  const ownerOf = ({ poolName }: Drive) => pools.find((pool) => pool.poolName === poolName)?.nodeId ?? null;
  const [to, from] = [ownerOf(target), ownerOf(source)];
  if (to === null || from === null || to === from) return;
  throw new DriveError(
    'usage',
    `Drive ${source.driveId} is with node ${from} and drive ${target.driveId} with node ${to}: an imaging stays within ` +
      'one node. Download the one and upload it to the other.',
    { drive: target.driveId, source: source.driveId },
  );
}

function checkRoom(context: ServiceContext, target: Drive): void {
  const pool = context.pools.views().find((view) => view.name === target.poolName);
  if (pool === undefined || !pool.isActive || pool.availableBytes > 0) return;
  throw new DriveError('full', `Pool ${target.poolName} has no room left.`, { pool: target.poolName });
}
