import { setTimeout as sleep } from 'node:timers/promises';
import { DriveError } from '../core/errors.ts';
import { isMoving } from '../core/move.ts';
import type { OwnMove } from './move-taking.ts';
import type { MovingMetadata } from './moving-metadata.ts';

/** `gone`: the move was cancelled, or its drive destroyed, or another node has taken it over. `imaging`: not while an imaging reads the drive where it is. */
export type CommitOutcome = 'moved' | 'gone' | 'imaging';

/** How long until a database that is away is asked again what has become of a commit. */
const DOUBT_MS = 1_000;

/**
 * Makes the pool that a drive was copied to its own, and the tier that was asked for, in one transaction; from then on the volume that it leaves is to be
 * removed. When it is not known whether the transaction was made, this returns only once it is: nothing may be written to
 * the drive until then.
 */
export async function commitMove(
  metadata: MovingMetadata,
  move: OwnMove,
  signal: AbortSignal,
): Promise<CommitOutcome> {
  try {
    return await metadata.transaction((tx) => commitInside(tx, move));
  } catch (error) {
    if (!isInDoubt(error)) throw error;
    if (await hasMoved(metadata, move, signal)) return 'moved';
    throw error;
  }
}

async function commitInside(
  { drives, imaging, moves, strays }: Parameters<Parameters<MovingMetadata['transaction']>[0]>[0],
  { driveId, poolName, nodeId }: OwnMove,
): Promise<CommitOutcome> {
  const [move, drive] = [await moves.find(driveId), await drives.find(driveId)];
  const isOurs = isMoving(move) && move.poolName === poolName && move.nodeId === nodeId;
  if (!isOurs || drive?.state !== 'ready') return 'gone';
  if ((await imaging.listTouching([driveId])).length > 0) return 'imaging';
  await drives.update({ ...drive, poolName, tier: move.tier ?? drive.tier });
  await moves.remove(driveId);
  await strays.insert({ volumeName: drive.volumeName, poolName: drive.poolName });
  return 'moved';
}

function isInDoubt(error: unknown): boolean {
  return error instanceof DriveError && error.facts['isInDoubt'] === true;
}

/** Asked in a transaction, which comes after whatever became of an earlier one. */
async function hasMoved(
  metadata: MovingMetadata,
  { driveId, poolName }: OwnMove,
  signal: AbortSignal,
): Promise<boolean> {
  for (;;) {
    try {
      return await metadata.transaction(async (tx) => (await tx.drives.find(driveId))?.poolName === poolName);
    } catch (error) {
      if (!(error instanceof DriveError) || error.code !== 'system') throw error;
      await sleep(DOUBT_MS, undefined, { signal });
    }
  }
}
