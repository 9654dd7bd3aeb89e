import { closeSync, openSync, readFileSync, ftruncateSync, writeSync } from 'node:fs';
import koffi from 'koffi';

const LOCK_EXCLUSIVE = 2;
const LOCK_NOT_BLOCKING = 4;

/** Holds the lock until it is disposed of or the process ends, however it ends. */
export interface FileLock extends Disposable {
  readonly path: string;
}

/** Somebody else holds the lock. */
export class FileLockedError extends Error {
  /** The process id that the holder has left in the file; null when there is none to read. */
  readonly holderPid: number | null;

  constructor(path: string, holderPid: number | null) {
    super(`${path} is locked${holderPid === null ? '' : ` by process ${holderPid}`}`);
    this.name = 'FileLockedError';
    this.holderPid = holderPid;
  }
}

/**
 * Takes an exclusive lock on a file, which is made if need be, by flock(2). The system keeps the lock with the open
 * file: a process that is killed leaves no stale one, and the file itself stays and means nothing.
 *
 * @throws FileLockedError when another process, or this one, holds it
 */
export function lockFile(path: string): FileLock {
  // Appending neither truncates what the holder wrote nor needs the file to exist.
  const fd = openSync(path, 'a', 0o600);
  try {
    if (flock(fd, LOCK_EXCLUSIVE | LOCK_NOT_BLOCKING) !== 0) throw new FileLockedError(path, readPid(path));
    ftruncateSync(fd);
    writeSync(fd, `${process.pid}\n`);
  } catch (error) {
    closeSync(fd);
    throw error;
  }
  return { path, [Symbol.dispose]: () => closeSync(fd) };
}

function flock(fd: number, operation: number): number {
  const call = koffi.load(null).func('int flock(int fd, int operation)');
  return Number(call(fd, operation));
}

function readPid(path: string): number | null {
  const pid = Number.parseInt(readFileSync(path, 'utf8'), 10);
  return Number.isSafeInteger(pid) ? pid : null;
}
