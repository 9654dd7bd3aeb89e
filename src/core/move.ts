import type { Tier } from './drive.ts';
import { DriveError } from './errors.ts';

/**
 * How far a move is. `queued`: nothing has been done yet. `copying`: the volume in the new pool has been begun. `failed`:
 * it has ended without success, and only its reason is left. A finished move has no row.
 */
export type MoveState = 'queued' | 'copying' | 'failed';

/** One move of a drive to another pool as the metadata holds it; a drive has at most one. */
export interface DriveMove {
  readonly driveId: string;
  /** The pool that it moves to. */
  readonly poolName: string;
  /** The tier that the drive is of once it lies there; null for the one that it has. */
  readonly tier: Tier | null;
  readonly state: MoveState;
  /** Why it has failed, a sentence; null unless it has. */
  readonly error: string | null;
  /** Stored bytes that have been copied, of `totalBytes`; what is written meanwhile does not count. */
  readonly doneBytes: number;
  readonly totalBytes: number;
  readonly createdAtMs: number;
  /**
   * The node that makes it, and alone changes the drive until it has ended; null when a version has queued it that did not say.
   */
  readonly nodeId: string | null;
}

/** Whether the drive is on its way: a move that has failed is not. */
export function isMoving(move: DriveMove | null): move is DriveMove {
  return move !== null && move.state !== 'failed';
}

/** A whole percentage, 0 to 99 while it runs: 100 is said by being finished. */
export function movePercent({ doneBytes, totalBytes }: Pick<DriveMove, 'doneBytes' | 'totalBytes'>): number {
  if (totalBytes === 0) return 0;
  return Math.min(99, Math.floor((doneBytes / totalBytes) * 100));
}

/** Throws DriveError busy while the drive is on its way to another pool. */
export function refuseMoving(move: DriveMove | null, doing: string): void {
  if (!isMoving(move)) return;
  throw new DriveError(
    'busy',
    `Drive ${move.driveId} is being moved to pool ${move.poolName}: it cannot be ${doing} until that ends.`,
    { drive: move.driveId, pool: move.poolName },
  );
}
