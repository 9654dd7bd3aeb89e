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
import { isSystemError } from '../system-error.ts';

/** The file that says whose pool a directory is. */
export const POOL_MARK_FILE = 'drivebay-pool.json';
const VERSION = 1;

export interface PoolMarkRequest {
  readonly directory: string;
  readonly poolName: string;
  readonly installationId: string;
  /** Whether this installation has never marked the pool, so that a directory without a mark may become it. */
  readonly mayCreate: boolean;
}

/** Whether the directory is the pool; if not, why, and what to do about it. */
export type PoolMarkAnswer = { readonly ok: true } | { readonly ok: false; readonly reason: string };

/**
 * Checks that a directory is the pool that it is configured to be, so that a disk that is not mounted is noticed and the
 * directory in its place is not filled instead.
 */
export function checkPoolMark(request: PoolMarkRequest): PoolMarkAnswer {
  const { directory, poolName, mayCreate } = request;
  const problem = directoryProblem(directory);
  if (problem !== null) return { ok: false, reason: `Pool ${poolName}: ${problem}` };
  const text = readMark(directory);
  if (text !== null) return compareMark(text, request);
  if (mayCreate) {
    writeMark(request);
    return { ok: true };
  }
  return {
    ok: false,
    reason:
      `Pool ${poolName}: ${directory} has no ${POOL_MARK_FILE}, though this pool was marked before. ` +
      'Is its disk mounted? If its drives are lost for good, give the pool another name.',
  };
}

function directoryProblem(directory: string): string | null {
  try {
    if (!statSync(directory).isDirectory()) return `${directory} is not a directory.`;
    accessSync(directory, constants.R_OK + constants.W_OK + constants.X_OK);
    return null;
  } catch (error) {
    if (isSystemError(error, 'ENOENT', 'ENOTDIR')) {
      return `${directory} does not exist. Mount its disk, or make the directory.`;
    }
    if (isSystemError(error, 'EACCES', 'EROFS')) {
      return `${directory} cannot be written. Make the server's user its owner, or mount its disk for writing.`;
    }
    throw error;
  }
}

function readMark(directory: string): string | null {
  try {
    return readFileSync(join(directory, POOL_MARK_FILE), 'utf8');
  } catch (error) {
    if (isSystemError(error, 'ENOENT')) return null;
    throw error;
  }
}

function compareMark(text: string, { directory, poolName, installationId }: PoolMarkRequest): PoolMarkAnswer {
  const mark = parseMark(text);
  const file = join(directory, POOL_MARK_FILE);
  const no = (what: string): PoolMarkAnswer => ({ ok: false, reason: `Pool ${poolName}: ${what}` });
  if (mark === null) return no(`${file} is damaged. Put it back from a backup.`);
  if (mark.version !== VERSION) return no(`${file} was made by a newer Drivebay: upgrade this one.`);
  if (mark.installation !== installationId) {
    return no(
      `${directory} belongs to another installation, ${mark.installation}. Name its own directory in the ` +
        'configuration, or use the data directory that it belongs to.',
    );
  }
  if (mark.pool !== poolName) {
    return no(`${directory} is pool ${mark.pool}. Is another disk mounted there, or was the pool renamed?`);
  }
  return { ok: true };
}

function parseMark(text: string): { installation: string; pool: string; version: number } | null {
  try {
    const { installation, pool, version } = JSON.parse(text) as Record<string, unknown>;
    const isComplete = typeof installation === 'string' && typeof pool === 'string' && typeof version === 'number';
    return isComplete ? { installation, pool, version } : null;
  } catch (error) {
    if (error instanceof SyntaxError) return null;
    throw error;
  }
}

/** Makes the mark, whole or not at all. */
function writeMark({ directory, poolName, installationId }: PoolMarkRequest): void {
  const file = join(directory, POOL_MARK_FILE);
  const mark = { installation: installationId, pool: poolName, version: VERSION };
  writeFileSync(`${file}.new`, `${JSON.stringify(mark, null, 2)}\n`, { flush: true });
  renameSync(`${file}.new`, file);
  const fd = openSync(directory, 'r');
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}
