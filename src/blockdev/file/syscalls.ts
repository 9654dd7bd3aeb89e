import koffi from 'koffi';
import { isSystemError, systemError } from '../system-error.ts';

// The system calls on files that Node lacks. Numbers are those of Linux, from fallocate(2), lseek(2) and ioctl_ficlone(2).

const FALLOC_FL_KEEP_SIZE = 1;
const FALLOC_FL_PUNCH_HOLE = 2;
const SEEK_DATA = 3;
const SEEK_HOLE = 4;
const FICLONE = 0x40049409;

const library = koffi.load(null);
const fallocate = library.func('int fallocate(int fd, int mode, int64_t offset, int64_t length)');
const lseek = library.func('int64_t lseek(int fd, int64_t offset, int whence)');
const ioctl = library.func('int ioctl(int fd, unsigned long request, int argument)');

const CODES = new Map(Object.entries(koffi.os.errno).map(([code, errno]) => [errno, code]));

function lastError(syscall: string): Error {
  return systemError(CODES.get(koffi.errno()) ?? 'EIO', syscall);
}

/** Claims the space of a range without changing what it reads as. Throws ENOSPC, or EOPNOTSUPP where it is not known. */
export function allocateRange(fd: number, offsetBytes: number, lengthBytes: number): void {
  if (fallocate(fd, FALLOC_FL_KEEP_SIZE, offsetBytes, lengthBytes) !== 0) throw lastError('fallocate');
}

/** Makes a range a hole. Throws EOPNOTSUPP where the file system has none. */
export function punchHole(fd: number, offsetBytes: number, lengthBytes: number): void {
  const mode = FALLOC_FL_KEEP_SIZE + FALLOC_FL_PUNCH_HOLE;
  if (fallocate(fd, mode, offsetBytes, lengthBytes) !== 0) throw lastError('fallocate');
}

/** The first byte of data at or after the offset; null when only a hole is left. */
export function seekData(fd: number, offsetBytes: number): number | null {
  const found = Number(lseek(fd, offsetBytes, SEEK_DATA));
  if (found >= 0) return found;
  const error = lastError('lseek');
  if (isSystemError(error, 'ENXIO')) return null;
  if (isSystemError(error, 'EINVAL')) return offsetBytes;
  throw error;
}

/** The first byte of a hole at or after the offset, which lies in data; the end of the file counts as one. */
export function seekHole(fd: number, offsetBytes: number): number {
  const found = Number(lseek(fd, offsetBytes, SEEK_HOLE));
  if (found < 0) throw lastError('lseek');
  return found;
}

/** Makes the target share all blocks of the source; false where these two files cannot. */
export function shareBlocks(targetFd: number, sourceFd: number): boolean {
  if (ioctl(targetFd, FICLONE, sourceFd) === 0) return true;
  const error = lastError('ioctl');
  if (isSystemError(error, 'EOPNOTSUPP', 'EXDEV', 'EINVAL', 'ENOTTY', 'ETXTBSY')) return false;
  throw error;
}
