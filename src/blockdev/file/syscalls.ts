import koffi from 'koffi';
import { getSystemErrorName } from 'node:util';
import { systemError } from '../system-error.ts';

/** The few system calls of Linux that Node lacks. Each throws an error with the operating system's `code`. */
export interface FileSyscalls {
  /** Claims space for the range; reads and the file's size do not change. */
  allocate(fd: number, range: { offsetBytes: number; lengthBytes: number }): void;
  /** Gives the range's space back; it reads as zeros, the size does not change. */
  punchHole(fd: number, range: { offsetBytes: number; lengthBytes: number }): void;
  /** Where data begins at or after the offset; null when there is none up to the end of the file. */
  seekData(fd: number, offsetBytes: number): number | null;
  /** Where the next hole begins at or after the offset, the end of the file being one; null at or past the end. */
  seekHole(fd: number, offsetBytes: number): number | null;
  /** Makes the target's beginning the whole source by sharing its blocks. */
  cloneFile(targetFd: number, sourceFd: number): void;
}

// From linux/falloc.h, linux/fs.h and unistd.h.
const FALLOC_FL_KEEP_SIZE = 0x01;
const FALLOC_FL_PUNCH_HOLE = 0x02;
const SEEK_DATA = 3;
const SEEK_HOLE = 4;
const FICLONE = 0x40049409;

/** Binds the calls of the C library of this process, whose offsets are of 64 bits on the 64-bit systems that Node runs on. */
export function loadFileSyscalls(): FileSyscalls {
  const lib = koffi.load(null);
  const fallocate: Call = lib.func('int fallocate(int, int, int64_t, int64_t)');
  const lseek: Call = lib.func('int64_t lseek(int, int64_t, int)');
  const ioctlNumber: Call = lib.func('int ioctl(int, unsigned long, int64_t)');

  function seek(fd: number, offsetBytes: number, whence: number): number | null {
    const found = lseek(fd, offsetBytes, whence);
    if (found >= 0) return found;
    const code = lastErrorCode();
    if (code === 'ENXIO') return null;
    throw systemError(code, 'lseek');
  }

  return {
    allocate(fd, { offsetBytes, lengthBytes }) {
      retried('fallocate', () => fallocate(fd, FALLOC_FL_KEEP_SIZE, offsetBytes, lengthBytes));
    },
    punchHole(fd, { offsetBytes, lengthBytes }) {
      const mode = FALLOC_FL_KEEP_SIZE + FALLOC_FL_PUNCH_HOLE;
      retried('fallocate', () => fallocate(fd, mode, offsetBytes, lengthBytes));
    },
    seekData: (fd, offsetBytes) => seek(fd, offsetBytes, SEEK_DATA),
    seekHole: (fd, offsetBytes) => seek(fd, offsetBytes, SEEK_HOLE),
    cloneFile(targetFd, sourceFd) {
      retried('ioctl', () => ioctlNumber(targetFd, FICLONE, sourceFd));
    },
  };
}

type Call = (...args: readonly unknown[]) => number;

/** Calls again when a signal came between, which says nothing about the file. */
function retried(syscall: string, call: () => number): void {
  while (call() < 0) {
    const code = lastErrorCode();
    if (code !== 'EINTR') throw systemError(code, syscall);
  }
}

function lastErrorCode(): string {
  return getSystemErrorName(-koffi.errno());
}
