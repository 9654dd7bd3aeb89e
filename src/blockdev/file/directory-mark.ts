import {
  accessSync,
  closeSync,
  constants,
  fsyncSync,
  openSync,
  readFileSync,
  renameSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { checkMark, POOL_MARK_NAME } from '../pool-mark.ts';
import type { PoolMarkCheck, PoolMarkRequest } from '../pool-mark.ts';
import { isSystemError } from '../system-error.ts';
import { syncDirectory } from './file-io.ts';

/**
 * Checks that the directory is the pool it is configured as. The mark lies on the pool's own disk: where that is not
 * mounted the mark is missing, and the drives become inactive instead of filling the disk below the mount point.
 */
export function checkDirectoryMark(directory: string, request: PoolMarkRequest): PoolMarkCheck {
  const reason = unusableReason(directory, request.poolName);
  if (reason !== null) return { ok: false, reason };
  const path = join(directory, POOL_MARK_NAME);
  return checkMark(
    {
      path,
      what: 'the directory',
      read: () => readIfPresent(path),
      write: (text) => writeMark(directory, text),
      missingReason:
        `${directory} has no ${POOL_MARK_NAME}, though this pool was used before: its disk is probably ` +
        'not mounted. Mount it; if the data is lost for good, restore the directory from a backup.',
    },
    request,
  );
}

function unusableReason(directory: string, poolName: string): string | null {
  try {
    if (!statSync(directory).isDirectory()) {
      return `Pool ${poolName}: ${directory} is no directory. Configure the directory that holds the pool.`;
    }
    accessSync(directory, constants.R_OK + constants.W_OK + constants.X_OK);
    return null;
  } catch (error) {
    if (isSystemError(error, 'ENOENT', 'ENOTDIR')) {
      return `Pool ${poolName}: the directory ${directory} does not exist. Mount its disk, or make the directory if the pool is new.`;
    }
    if (isSystemError(error, 'EACCES', 'EPERM')) {
      return `Pool ${poolName}: the directory ${directory} is not writable. Give the user that runs Drivebay read and write access to it.`;
    }
    if (isSystemError(error, 'EROFS')) {
      return `Pool ${poolName}: the file system of ${directory} is read-only. Look for disk errors in the kernel's log, and mount it writable again.`;
    }
    throw error;
  }
}

function readIfPresent(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (isSystemError(error, 'ENOENT')) return null;
    throw error;
  }
}

function writeMark(directory: string, text: string): void {
  const path = join(directory, POOL_MARK_NAME);
  const draft = `${path}.new`;
  writeFileSync(draft, text);
  const fd = openSync(draft, 'r');
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
  renameSync(draft, path);
  syncDirectory(directory);
}
