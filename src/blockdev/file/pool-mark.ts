import {
  closeSync,
  constants,
  fsyncSync,
  accessSync,
  openSync,
  readFileSync,
  renameSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { isSystemError } from '../system-error.ts';
import { syncDirectory } from './file-io.ts';

/** The file in a pool's directory that says whose pool it is. */
export const POOL_MARK_NAME = 'drivebay-pool.json';
const FORMAT_VERSION = 1;

/** Whether the directory may be used; if not, one sentence for the operator with what to do. */
export type PoolMarkCheck = { readonly ok: true } | { readonly ok: false; readonly reason: string };

interface PoolMark {
  readonly format: number;
  readonly installation: string;
  readonly pool: string;
}

/**
 * Checks that the directory is the pool it is configured as. The mark lies on the pool's own disk: where that is not
 * mounted the mark is missing, and the drives become inactive instead of filling the disk below the mount point.
 *
 * @param request.mayCreate whether this installation has never used the pool: only then a directory without a mark
 *   is marked, durably
 */
export function checkPoolMark(request: {
  directory: string;
  poolName: string;
  installationId: string;
  mayCreate: boolean;
}): PoolMarkCheck {
  const { directory, poolName, installationId, mayCreate } = request;
  const unusable = unusableReason(directory, poolName);
  if (unusable !== null) return { ok: false, reason: unusable };
  const path = join(directory, POOL_MARK_NAME);
  const text = readIfPresent(path);
  if (text === null) {
    if (!mayCreate) return { ok: false, reason: unmarkedReason(directory, poolName) };
    writeMark(directory, { format: FORMAT_VERSION, installation: installationId, pool: poolName });
    return { ok: true };
  }
  const reason = mismatchReason(parseMark(text), { path, poolName, installationId });
  return reason === null ? { ok: true } : { ok: false, reason };
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

function unmarkedReason(directory: string, poolName: string): string {
  return (
    `Pool ${poolName}: ${directory} has no ${POOL_MARK_NAME}, though this pool was used before: its disk is probably ` +
    'not mounted. Mount it; if the data is lost for good, restore the directory from a backup.'
  );
}

function mismatchReason(
  mark: PoolMark | null,
  { path, poolName, installationId }: { path: string; poolName: string; installationId: string },
): string | null {
  if (mark === null) return `Pool ${poolName}: ${path} is damaged. Restore it from a backup.`;
  if (mark.format !== FORMAT_VERSION) {
    return `Pool ${poolName}: ${path} has format ${mark.format}, and this Drivebay knows ${FORMAT_VERSION}. Run the version of Drivebay that wrote it, or a later one.`;
  }
  if (mark.installation !== installationId) {
    return `Pool ${poolName}: ${path} says that the directory belongs to installation ${mark.installation}, and this is ${installationId}. Use another directory, or start Drivebay with the data directory of that installation.`;
  }
  if (mark.pool !== poolName) {
    return `Pool ${poolName}: ${path} says that the directory is pool ${mark.pool}. Correct the pool's name or its directory in the configuration.`;
  }
  return null;
}

function readIfPresent(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (isSystemError(error, 'ENOENT')) return null;
    throw error;
  }
}

function parseMark(text: string): PoolMark | null {
  try {
    const mark: unknown = JSON.parse(text);
    return isMark(mark) ? mark : null;
  } catch {
    return null;
  }
}

function isMark(value: unknown): value is PoolMark {
  if (typeof value !== 'object' || value === null) return false;
  if (!('format' in value && 'installation' in value && 'pool' in value)) return false;
  const { format, installation, pool } = value;
  return typeof format === 'number' && typeof installation === 'string' && typeof pool === 'string';
}

function writeMark(directory: string, mark: PoolMark): void {
  const path = join(directory, POOL_MARK_NAME);
  const draft = `${path}.new`;
  writeFileSync(draft, `${JSON.stringify(mark, null, 2)}\n`);
  const fd = openSync(draft, 'r');
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
  renameSync(draft, path);
  syncDirectory(directory);
}
