import type { Drive } from '../core/drive.ts';
import { DriveError } from '../core/errors.ts';
import { isMoving } from '../core/move.ts';
import type { DriveMove } from '../core/move.ts';
import { nodeName } from '../core/node.ts';
import { untilOthersAreInLine } from './node-notices.ts';
import type { ServiceContext } from './service-context.ts';

// A drive that moves out of a pool which all nodes reach: the node that makes the move has to see every change of the drive until
// then, so it alone makes them.

type ElsewhereContext = Pick<
  ServiceContext,
  'mayHaveOtherNodes' | 'node' | 'poolOwners' | 'pools' | 'metadata'
>;
type Place = Pick<Drive, 'driveId' | 'poolName'>;

/**
 * The move of a drive, for who is about to change the drive and has announced that. To be asked for before the drive is: of a move
 * that has ended by then, the drive's pool tells.
 */
export async function findMove(
  { mayHaveOtherNodes, metadata }: Pick<ElsewhereContext, 'mayHaveOtherNodes' | 'metadata'>,
  driveId: string,
): Promise<DriveMove | null> {
  return mayHaveOtherNodes ? await metadata.moves.find(driveId) : null;
}

/** Whether another node makes this move, of a drive that this one reaches too. */
export function isMadeElsewhere(
  { mayHaveOtherNodes, node, poolOwners, pools }: Omit<ElsewhereContext, 'metadata'>,
  { poolName }: Place,
  move: DriveMove | null,
): move is DriveMove {
  if (!mayHaveOtherNodes || !isMoving(move) || poolOwners.ownerOf(poolName) !== null) return false;
  // Who has not said which node it is goes by the directory.
  return move.nodeId === null ? !isHere(pools, move.poolName) : move.nodeId !== node.nodeId;
}

/** Whether another node is moving the drive out of a pool that this one reaches too, or it has left the place that it is known to have. */
export async function isMovingElsewhere(context: ElsewhereContext, drive: Place): Promise<boolean> {
  const move = await findMove(context, drive.driveId);
  if (isMoving(move) || !context.mayHaveOtherNodes) return isMadeElsewhere(context, drive, move);
  return (await context.metadata.drives.find(drive.driveId))?.poolName !== drive.poolName;
}

/** Throws DriveError system while another node makes this move of the drive; says which. */
export async function refuseMovingElsewhere(
  context: ElsewhereContext,
  drive: Place,
  move: DriveMove | null,
): Promise<void> {
  if (!isMadeElsewhere(context, drive, move)) return;
  const { driveId, poolName, nodeId } = move;
  const other = (await context.metadata.nodes.list()).find((each) => each.nodeId === nodeId);
  const who = other === undefined ? 'another node' : nodeName(other);
  throw new DriveError(
    'system',
    `Drive ${driveId} is being moved to pool ${poolName} by ${who}, which alone changes it until then: ask that one.`,
    { drive: driveId, pool: poolName },
  );
}

/**
 * Returns once no other node changes the drive, until its move has ended, has a volume of it open where it is to lie, since an
 * earlier one may have been there, or still copies for the move that this one has taken over.
 *
 * @throws DriveError system when one that is gone cannot be kept out
 */
export async function takeMovingDrive(
  context: ServiceContext,
  { driveId, poolName }: Place,
  move: Pick<DriveMove, 'poolName'>,
): Promise<void> {
  await untilOthersAreInLine(context, { driveId, poolName });
  await untilOthersAreInLine(context, { driveId, poolName: move.poolName });
}

function isHere({ configs }: Pick<ServiceContext['pools'], 'configs'>, poolName: string): boolean {
  return configs.some(({ spec }) => spec.name === poolName);
}
