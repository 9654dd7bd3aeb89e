import { fstatSync, fsyncSync, ftruncateSync } from 'node:fs';
import { isSystemError } from '../system-error.ts';
import type { FileSyscalls } from './syscalls.ts';

// ETXTBSY: a swap file. The others: this file system, or these two, cannot share blocks.
const REFUSALS = ['EOPNOTSUPP', 'ENOTSUP', 'ENOTTY', 'EXDEV', 'EINVAL', 'ENOSYS', 'ETXTBSY'] as const;

/**
 * Makes an empty file the source by sharing its blocks, and then this large, durably.
 *
 * @returns why the file system cannot do it between these two, and then the file is still empty; null when it is done
 */
export function cloneInto(
  syscalls: FileSyscalls,
  { sourceFd, targetFd, sizeBytes }: { sourceFd: number; targetFd: number; sizeBytes: number },
): string | null {
  if (fstatSync(sourceFd).size > sizeBytes) throw new RangeError('The source is larger than the target.');
  try {
    syscalls.cloneFile(targetFd, sourceFd);
  } catch (error) {
    if (!isSystemError(error, ...REFUSALS)) throw error;
    return `the file system does not share blocks (${error.code})`;
  }
  ftruncateSync(targetFd, sizeBytes);
  fsyncSync(targetFd);
  return null;
}
