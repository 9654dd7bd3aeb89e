import { setTimeout as sleep } from 'node:timers/promises';
import { DriveError } from '../core/errors.ts';

/** How long to wait before a pool that is away is asked again. */
const PAUSE_MS = 200;

/**
 * Flushes a drive for a connection, and waits for its pool as long as it is away, as every other request of the connection
 * does in the device: a guest that is answered with an error gives up its file system. For pools over a network, whose
 * devices have on stable storage what they have answered.
 *
 * @param hasEnded whether the connection has, so that nobody waits for the answer any more
 */
export async function flushPatiently(flush: () => Promise<void>, hasEnded: () => boolean): Promise<void> {
  for (;;) {
    try {
      return await flush();
    } catch (error) {
      const isAway = error instanceof DriveError && error.code === 'system';
      if (!isAway || hasEnded()) throw error;
    }
    await sleep(PAUSE_MS);
  }
}
