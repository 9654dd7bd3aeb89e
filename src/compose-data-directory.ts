import { join } from 'node:path';
import { FileLockedError, lockFile } from './runtime/file-lock.ts';
import type { FileLock } from './runtime/file-lock.ts';

/** Keeps every other process out of the data directory. @throws Error with a sentence when one has it */
export function lockDataDirectory(dataDirectory: string): FileLock {
  try {
    return lockFile(join(dataDirectory, 'lock'));
  } catch (error) {
    if (!(error instanceof FileLockedError)) throw error;
    const holder =
      error.holderPid === null ? 'another server' : `the server with process id ${error.holderPid}`;
    throw new Error(
      `The data directory ${dataDirectory} is in use by ${holder}. Stop it, or name another directory.`,
      {
        cause: error,
      },
    );
  }
}
