import type { PoolSpec } from './pool-spec.ts';
import { systemError } from './system-error.ts';

/** What the count of lives takes in shared memory. */
export const POOL_LIVES_BYTES = Int32Array.BYTES_PER_ELEMENT;

/**
 * Which life the process is in: a new one begins whenever a cluster takes it in, at first and after others had it kept out.
 * What was let through in one life must not be done in the next, because others may have been given the drive in between.
 */
export function poolLife(lives: SharedArrayBuffer): number {
  return Atomics.load(new Int32Array(lives), 0);
}

/** To be called before anybody can use the connection of the new life. */
export function beginPoolLife(lives: SharedArrayBuffer): void {
  Atomics.add(new Int32Array(lives), 0, 1);
}

/**
 * Throws an error with code ESHUTDOWN when this life is over. Whatever is open in the pool by then was opened in it, or
 * before it, and is of no use any more.
 */
export function refuseEarlierLife(pool: PoolSpec, life: number): void {
  if (pool.kind === 'file' || poolLife(pool.lives) === life) return;
  throw systemError('ESHUTDOWN', 'open', 'other nodes have kept this one out meanwhile');
}
