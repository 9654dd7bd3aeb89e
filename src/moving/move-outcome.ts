import { isKeptOut } from '../blockdev/system-error.ts';
import { DriveError } from '../core/errors.ts';

/**
 * How a run of a move ended without having moved the drive. `stopped`: it was told to. `gone`: there is no such move any
 * more. `waiting`: it is tried again.
 */
export type MoveFailure =
  { readonly kind: 'failed'; readonly sentence: string } | { readonly kind: 'stopped' | 'gone' | 'waiting' };

/** The move was told to stop, or there is no such move any more: nothing has gone wrong. */
export class MoveStopped extends Error {
  readonly kind: 'stopped' | 'gone';

  constructor(kind: 'stopped' | 'gone') {
    super('The move was stopped.');
    this.name = 'MoveStopped';
    this.kind = kind;
  }
}

/**
 * What an error means for the move.
 *
 * @param isPoolAway whether one of its pools is inactive now
 */
export function failureOf(
  error: unknown,
  { fromPool, toPool, isPoolAway }: { fromPool: string; toPool: string; isPoolAway: boolean },
): MoveFailure {
  if (error instanceof MoveStopped) return { kind: error.kind };
  if (error instanceof DriveError) {
    return error.code === 'system' ? { kind: 'waiting' } : { kind: 'failed', sentence: error.message };
  }
  const errno = errnoOf(error);
  if (errno === null) {
    return { kind: 'failed', sentence: 'The move failed by a fault of Drivebay; the log says more.' };
  }
  if (isPoolAway || isKeptOut(error)) return { kind: 'waiting' };
  if (errno === 'ENOSPC' || errno === 'EDQUOT') {
    return { kind: 'failed', sentence: `Pool ${toPool} ran out of room.` };
  }
  return {
    kind: 'failed',
    sentence: `Reading pool ${fromPool} or writing pool ${toPool} failed (${errno}).`,
  };
}

function errnoOf(error: unknown): string | null {
  if (!(error instanceof Error) || !('code' in error) || typeof error.code !== 'string') return null;
  return error.code.startsWith('E') && !error.code.startsWith('ERR_') ? error.code : null;
}
