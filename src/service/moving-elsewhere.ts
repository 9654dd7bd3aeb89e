import type { Drive } from '../core/drive.ts';
import { DriveError } from '../core/errors.ts';
import { isMoving } from '../core/move.ts';
import type { DriveMove } from '../core/move.ts';
import { nodeName } from '../core/node.ts';
import { untilOthersAreInLine } from './node-notices.ts';
import type { ServiceContext } from './service-context.ts';

// A drive that moves out of a pool which all nodes reach, into a directory of one of them: that node has to see every change
// of the drive until then, so it alone makes them.

type ElsewhereContext = Pick<ServiceContext, 'mayHaveOtherNodes' | 'poolOwners' | 'pools' | 'metadata'>;

/** Whether another node is moving the drive out of a pool that this one reaches too. */
export async function isMovingElsewhere(context: ElsewhereContext, drive: Place): Promise<boolean> {
  return (await findMoveElsewhere(context, drive)) !== null;
}

/** Throws DriveError system while another node is moving the drive; says which. */
export async function refuseMovingElsewhere(context: ElsewhereContext, drive: Place): Promise<void> {
  const move = await findMoveElsewhere(context, drive);
  if (move === null) return;
  const { driveId, poolName } = move;
  const other = context.poolOwners.find(poolName);
  const who = other === null ? 'another node' : nodeName(other.node);
  throw new DriveError(
    'system',
    `Drive ${driveId} is being moved to pool ${poolName} by ${who}, which alone changes it until then: ask that one.`,
    { drive: driveId, pool: poolName },
  );
}

type Place = Pick<Drive, 'driveId' | 'poolName'>;

async function findMoveElsewhere(
  { mayHaveOtherNodes, poolOwners, pools, metadata }: ElsewhereContext,
  { driveId, poolName }: Place,
): Promise<DriveMove | null> {
  if (!mayHaveOtherNodes || poolOwners.ownerOf(poolName) !== null) return null;
  const move = await metadata.moves.find(driveId);
  return isMoving(move) && !isHere(pools, move.poolName) ? move : null;
}

/**
 * Returns once no other node changes the drive, until its move has ended, or has a volume of it open where it is to lie: an
 * earlier one may have been there.
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
