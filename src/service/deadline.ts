import { DriveError } from '../core/errors.ts';

/** How long a request waits for a pool before the client is told that it does not answer. */
const POOL_DEADLINE_MS = 30_000;

/**
 * Waits for a pool, but not for ever. The work itself goes on and is waited for by nobody: `onLate` is given its
 * result, to give back what it holds.
 *
 * @throws DriveError system when the pool has not answered in time
 */
export async function withinDeadline<Result>(
  poolName: string,
  work: Promise<Result>,
  onLate: (result: Result) => void,
): Promise<Result> {
  const late = Symbol('late');
  const { promise: expired, resolve: expire } = Promise.withResolvers<typeof late>();
  const timer = setTimeout(() => expire(late), POOL_DEADLINE_MS);
  try {
    const first = await Promise.race([work, expired]);
    if (first !== late) return first;
  } finally {
    clearTimeout(timer);
  }
  // Its own error, if any, has no one left to be told.
  work.then(onLate, () => undefined);
  const seconds = POOL_DEADLINE_MS / 1000;
  throw new DriveError('system', `Pool ${poolName} has not answered for ${seconds} s.`, { pool: poolName });
}
