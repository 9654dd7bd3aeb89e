import { existsSync, mkdirSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { FileLockedError, lockFile } from './runtime/file-lock.ts';
import type { FileLock } from './runtime/file-lock.ts';

/** Makes the data directory where there is none. @throws Error with a sentence when that cannot be done */
export function makeDataDirectory(dataDirectory: string): void {
  try {
    makeDirectories(dataDirectory);
  } catch (cause) {
    throw new Error(`The data directory ${dataDirectory} cannot be made: ${problemOf(cause)}.`, { cause });
  }
  if (!statSync(dataDirectory).isDirectory())
    throw new Error(`The data directory ${dataDirectory} is no directory.`);
}

/** With its parents. Node's own `recursive` never ends where a file system such as /proc says ENOENT of the last one. */
function makeDirectories(path: string): void {
  if (existsSync(path)) return;
  if (dirname(path) !== path) makeDirectories(dirname(path));
  mkdirSync(path, { mode: 0o700 });
}

function problemOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}

/** Keeps every other process out of the data directory. @throws Error with a sentence when one has it */
export function lockDataDirectory(dataDirectory: string): FileLock {
  try {
    return lockFile(join(dataDirectory, 'lock'));
  } catch (error) {
    if (!(error instanceof FileLockedError)) {
      throw new Error(`The data directory ${dataDirectory} cannot be used: ${problemOf(error)}.`, {
        cause: error,
      });
    }
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
