import { closeSync, fstatSync, fsyncSync, ftruncateSync, openSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import { threadId } from 'node:worker_threads';
import { isSystemError } from '../system-error.ts';
import type { FileSyscalls } from './syscalls.ts';

/** What is cloned to find out whether the file system can: a block of any file system. */
const PROBE_BYTES = 65536;

/**
 * Makes the target file the source by sharing its blocks, durably, at the target's own size. The file stays the same
 * one, so that whoever has it open sees the new content.
 *
 * @param files.probeDirectory where a file may be made for a moment, on the target's file system
 * @returns false, with nothing changed, when the file system cannot do it between these two
 */
export function cloneInto(
  syscalls: FileSyscalls,
  files: { sourceFd: number; targetFd: number; targetSizeBytes: number; probeDirectory: string },
): boolean {
  const { sourceFd, targetFd, targetSizeBytes } = files;
  const sourceSizeBytes = fstatSync(sourceFd).size;
  if (sourceSizeBytes > targetSizeBytes) throw new RangeError('The source is larger than the target.');
  if (!canClone(syscalls, files, sourceSizeBytes)) return false;
  try {
    // Emptied first: the end of the source can lie within a block of the target only where nothing follows it.
    ftruncateSync(targetFd, 0);
    syscalls.cloneFile(targetFd, sourceFd);
  } finally {
    ftruncateSync(targetFd, targetSizeBytes);
    fsyncSync(targetFd);
  }
  return true;
}

function canClone(
  syscalls: FileSyscalls,
  { sourceFd, probeDirectory }: { sourceFd: number; probeDirectory: string },
  sourceSizeBytes: number,
): boolean {
  const path = join(probeDirectory, `.clone-${process.pid}-${threadId}`);
  const fd = openSync(path, 'w+', 0o600);
  try {
    unlinkSync(path);
    if (sourceSizeBytes < PROBE_BYTES) syscalls.cloneFile(fd, sourceFd);
    else syscalls.cloneStart(fd, sourceFd, PROBE_BYTES);
    return true;
  } catch (error) {
    // ETXTBSY: a swap file. The others: this file system, or these two, cannot share blocks.
    if (isSystemError(error, 'EOPNOTSUPP', 'ENOTSUP', 'ENOTTY', 'EXDEV', 'EINVAL', 'ENOSYS', 'ETXTBSY'))
      return false;
    throw error;
  } finally {
    closeSync(fd);
  }
}
