import type { Drive, Tier } from '../core/drive.ts';
import { DriveError } from '../core/errors.ts';
import { isMoving, refuseMoving } from '../core/move.ts';
import { nodeName } from '../core/node.ts';
import { checkPlace } from '../core/placement.ts';
import type { AvoidedDrive, PlacementPool } from '../core/placement.ts';
import type { MetadataTransaction } from '../metadata/metadata-store.ts';
import { withinDeadline } from './deadline.ts';
import { refuseDirectAccess } from './direct-attachment.ts';
import { findAny, refuseImagingTarget } from './drive-lookup.ts';
import { inResizeTurn } from './resize-turn.ts';
import type { Info } from './service.ts';
import type { ServiceContext } from './service-context.ts';
import { showDrive } from './show-drive.ts';
import { removeStray } from './stray-removal.ts';

/**
 * Puts the move of a drive to another pool into the queue; the work is done behind the answer, while the drive is used as
 * before. Nothing happens when it lies there already.
 *
 * @throws DriveError usage for a pool of another node, and between pools that are all nodes'; missing for an unknown pool; busy while the drive is moving, is attached past Drivebay, or an imaging writes to it; system while
 *   one of the pools is inactive; full when the pool has no room, is of another tier, or shares its failure domain with a
 *   drive that this one avoids or that avoids this one
 */
export async function moveDrive(
  context: ServiceContext,
  driveId: string,
  { poolName, tier = null }: { poolName: string; tier?: Tier | null | undefined },
): Promise<Info> {
  const before = await findAny(context.metadata.drives, driveId);
  checkPools(context, before, poolName);
  const neededBytes =
    before.poolName === poolName
      ? 0
      : await withinDeadline(before.poolName, context.moves.measure(before), () => undefined);
  // Its last move may have been cancelled by another node, and this one not have noticed yet.
  if (!isMoving(await context.metadata.moves.find(driveId))) await context.moves.end(driveId);
  // What it has left there when it moved away.
  await withinDeadline(
    poolName,
    removeStray(context, { volumeName: before.volumeName, poolName }),
    () => undefined,
  );
  const pools = await context.poolLoads.places();
  // No resize is under way then, so that the volume keeps its size from here on.
  const drive = await inResizeTurn(context, before, () =>
    context.metadata.transaction((tx) =>
      queueMove(context, tx, { driveId, poolName, tier, neededBytes, pools }),
    ),
  );
  context.moves.wake();
  return await showDrive(context, drive, null, 'full');
}

/** Throws a DriveError unless this node can reach the pool, and no other would take the move up. */
function checkPools(
  { pools, poolOwners, mayHaveOtherNodes }: ServiceContext,
  { driveId, poolName: fromPool }: Drive,
  poolName: string,
): void {
  const other = poolOwners.find(poolName);
  if (other !== null) {
    throw new DriveError(
      'usage',
      `Pool ${poolName} belongs to ${nodeName(other.node)}: a drive moves within one node; image it onto a drive there.`,
      { drive: driveId, pool: poolName },
    );
  }
  const kinds = new Map(pools.configs.map(({ spec }) => [spec.name, spec.kind]));
  if (!kinds.has(poolName)) throw new DriveError('missing', `Pool ${poolName} could not be found.`);
  // Which node does the move is told by the directory that it goes to.
  const isBetweenShared = kinds.get(fromPool) === 'rbd' && kinds.get(poolName) === 'rbd';
  if (mayHaveOtherNodes && fromPool !== poolName && isBetweenShared) {
    throw new DriveError(
      'usage',
      `Drive ${driveId} cannot move from pool ${fromPool} to ${poolName}, which are all nodes': image it onto another drive.`,
      { drive: driveId, pool: fromPool },
    );
  }
  // Says what is wrong with a pool that is away.
  pools.threadsOf(poolName);
}

interface MoveRequest {
  readonly driveId: string;
  readonly poolName: string;
  /** What the drive is of from then on; null for the tier that it has. */
  readonly tier: Tier | null;
  readonly neededBytes: number;
  readonly pools: readonly PlacementPool[];
}

async function queueMove(
  context: ServiceContext,
  tx: MetadataTransaction,
  { driveId, poolName, tier, neededBytes, pools }: MoveRequest,
): Promise<Drive> {
  const drive = await findAny(tx.drives, driveId);
  refuseMoving(await tx.moves.find(driveId), 'moved again');
  if (drive.poolName === poolName) return drive;
  refuseDirectAccess(drive, 'moved');
  refuseImagingTarget(drive, await tx.imaging.listTouching([driveId]), 'moved');
  if (await tx.strays.has({ volumeName: drive.volumeName, poolName })) {
    throw new DriveError(
      'busy',
      `What an earlier move of drive ${driveId} has left in pool ${poolName} is still being removed: try again later.`,
      { drive: driveId, pool: poolName },
    );
  }
  const { sizeBytes } = drive;
  const avoid = await placesApart(tx, driveId);
  checkPlace({ driveId, sizeBytes, tier: tier ?? drive.tier, avoid, poolName, neededBytes }, pools);
  await tx.moves.insert({ driveId, poolName, tier, totalBytes: neededBytes, createdAtMs: context.now() });
  context.poolLoads.add(poolName, sizeBytes);
  return drive;
}

/** Where the drives are that this one must share no failure domain with, and where they are moving to. */
async function placesApart(tx: MetadataTransaction, driveId: string): Promise<readonly AvoidedDrive[]> {
  const apart = (await tx.drives.listApart(driveId)).filter(({ state }) => state !== 'destroying');
  const moves = await tx.moves.list(apart.map((drive) => drive.driveId));
  return [...apart, ...moves.filter(isMoving)];
}
