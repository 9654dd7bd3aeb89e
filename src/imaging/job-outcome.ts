import { isKeptOut } from '../blockdev/system-error.ts';
import { DriveError } from '../core/errors.ts';
import type { VolumeSpec } from '../data-workers/volume.ts';
import { ImagingStopped } from './engine-hooks.ts';

/**
 * How a run of a job ended. `done`: with the volume that is the target's from now on, null for the one that it has.
 * `failed`: for good, with a sentence for the drive's owner. `stopped`: it goes back into the queue. `waiting`: the same,
 * and a pool must come back first.
 */
export type JobOutcome =
  | { readonly kind: 'done'; readonly volumeName: string | null }
  | { readonly kind: 'failed'; readonly sentence: string }
  | { readonly kind: 'stopped' }
  | { readonly kind: 'waiting' };

/** What an error means for the job. */
export function outcomeOf(
  error: unknown,
  drives: { source: VolumeSpec; target: VolumeSpec } | null,
): JobOutcome {
  if (error instanceof ImagingStopped) return { kind: 'stopped' };
  if (error instanceof DriveError) {
    return error.code === 'system' ? { kind: 'waiting' } : { kind: 'failed', sentence: error.message };
  }
  if (isKeptOut(error)) return { kind: 'waiting' };
  return { kind: 'failed', sentence: sentenceOf(errnoOf(error), drives) };
}

/** Whether the error is one of the operating system, and so of a pool. */
export function isPoolError(error: unknown): boolean {
  return errnoOf(error) !== null;
}

/** Whether nobody foresaw the error, so that the log must tell of it: the rest are mistakes in the data, or pass. */
export function isUnexpected(error: unknown): boolean {
  return !(error instanceof ImagingStopped || error instanceof DriveError || isKeptOut(error));
}

function errnoOf(error: unknown): string | null {
  if (error instanceof DriveError || !(error instanceof Error)) return null;
  return 'code' in error &&
    typeof error.code === 'string' &&
    error.code.startsWith('E') &&
    !error.code.startsWith('ERR_')
    ? error.code
    : null;
}

function sentenceOf(errno: string | null, drives: { source: VolumeSpec; target: VolumeSpec } | null): string {
  if (errno === null || drives === null)
    return 'The imaging failed by a fault of Drivebay; the log says more.';
  const { source, target } = drives;
  switch (errno) {
    case 'ENOSPC':
    case 'EDQUOT':
      return `Pool ${target.poolName} ran out of room.`;
    default: {
      const isOnePool = source.poolName === target.poolName;
      const where = isOnePool
        ? `pool ${target.poolName}`
        : `pool ${source.poolName} or pool ${target.poolName}`;
      return `Reading or writing failed in ${where} (${errno}).`;
    }
  }
}
