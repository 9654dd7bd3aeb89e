import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { DriveError } from '../core/errors.ts';
import type { FileLock } from './file-lock.ts';
import { FileLockedError, lockFile } from './file-lock.ts';

/**
 * Makes the data directory if need be, for its owner's eyes only, and keeps any other server out of it until the lock is
 * disposed of or the process ends.
 *
 * @throws DriveError busy when another server uses it, failed when it cannot be used at all
 */
export function openDataDirectory(directory: string): FileLock {
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    return lockFile(join(directory, 'lock'));
  } catch (error) {
    if (error instanceof FileLockedError) {
      const holder = error.holderPid === null ? '' : ` (process ${error.holderPid})`;
      throw new DriveError(
        'busy',
        `The data directory ${directory} is in use by another Drivebay server${holder}. ` +
          'Stop that one, or give this one a data directory of its own with --data-dir.',
        { directory },
        error,
      );
    }
    const reason = error instanceof Error ? error.message : String(error);
    throw new DriveError(
      'failed',
      `The data directory ${directory} cannot be used: ${reason}.`,
      { directory },
      error,
    );
  }
}
