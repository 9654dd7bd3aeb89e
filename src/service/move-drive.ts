import type { Drive, Tier } from '../core/drive.ts';
import { DriveError } from '../core/errors.ts';
import { isMoving, refuseMoving } from '../core/move.ts';
import { NODE_REVISION, nodeName } from '../core/node.ts';
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
 * @throws DriveError usage for a pool of another node; missing for an unknown pool; busy while the drive is moving, is attached past Drivebay, or an imaging writes to it; system while
 *   one of the pools is inactive, or a node is there that would not leave the move to this one; full when the pool has no room, is of another tier, or shares its failure domain with a
 *   drive that this one avoids or that avoids this one
 */
export async function moveDrive(
  context: ServiceContext,
  driveId: string,
  { poolName, tier = null }: { poolName: string; tier?: Tier | null | undefined },
): Promise<Info> {
  const before = await findAny(context.metadata.drives, driveId);
  checkPool(context, before, poolName);
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
  const drive = await inResizeTurn(context, before, (turn) =>
    context.metadata.transaction(async (tx) => {
      await turn.check(tx);
      return await queueMove(context, tx, { driveId, poolName, tier, neededBytes, pools });
    }),
  );
  context.moves.wake();
  return await showDrive(context, drive, null, 'full');
}

/** Throws a DriveError unless this node can reach the pool. */
function checkPool({ pools, poolOwners }: ServiceContext, { driveId }: Drive, poolName: string): void {
  const other = poolOwners.find(poolName);
  if (other !== null) {
    throw new DriveError(
      'usage',
      `Pool ${poolName} belongs to ${nodeName(other.node)}: a drive moves within one node; image it onto a drive there.`,
      { drive: driveId, pool: poolName },
    );
  }
  if (!pools.configs.some(({ spec }) => spec.name === poolName)) {
    throw new DriveError('missing', `Pool ${poolName} could not be found.`);
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
  await refuseEarlierNodes(context, tx, [drive.poolName, poolName]);
  const { sizeBytes } = drive;
  const avoid = await placesApart(tx, driveId);
  checkPlace({ driveId, sizeBytes, tier: tier ?? drive.tier, avoid, poolName, neededBytes }, pools);
  const { nodeId } = context.node;
  const createdAtMs = context.now();
  await tx.moves.insert({ driveId, poolName, tier, totalBytes: neededBytes, createdAtMs, nodeId });
  context.poolLoads.add(poolName, sizeBytes);
  return drive;
}

/** Between pools that are nobody's, nodes of earlier versions would all make the move. */
async function refuseEarlierNodes(
  { node: self, poolOwners, mayHaveOtherNodes }: ServiceContext,
  tx: MetadataTransaction,
  poolNames: readonly string[],
): Promise<void> {
  if (!mayHaveOtherNodes || poolNames.some((poolName) => poolOwners.ownerOf(poolName) !== null)) return;
  const nodes = await tx.nodes.list();
  const earlier = nodes.find((node) => node.revision < NODE_REVISION && !self.takesForGone(node));
  if (earlier === undefined) return;
  throw new DriveError(
    'system',
    `Drives move between pools of all nodes once no ${nodeName(earlier)} of an earlier version is there: upgrade that node first.`,
    { node: earlier.nodeId },
  );
}

/** Where the drives are that this one must share no failure domain with, and where they are moving to. */
async function placesApart(tx: MetadataTransaction, driveId: string): Promise<readonly AvoidedDrive[]> {
  const apart = (await tx.drives.listApart(driveId)).filter(({ state }) => state !== 'destroying');
  const moves = await tx.moves.list(apart.map((drive) => drive.driveId));
  return [...apart, ...moves.filter(isMoving)];
}
