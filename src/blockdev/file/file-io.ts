import { closeSync, fsyncSync, openSync, readSync, writeSync } from 'node:fs';

/** Fills the buffer from the file; what is past the end of the file is zeros. One read may bring less than asked for. */
export function readFully(fd: number, into: Uint8Array, positionBytes: number): void {
  let done = 0;
  while (done < into.byteLength) {
    const length = readSync(fd, into, done, into.byteLength - done, positionBytes + done);
    if (length === 0) {
      into.fill(0, done);
      return;
    }
    done += length;
  }
}

/** Writes the whole buffer. One write may take less than it is given. */
export function writeFully(fd: number, from: Uint8Array, positionBytes: number): void {
  let done = 0;
  while (done < from.byteLength) {
    done += writeSync(fd, from, done, from.byteLength - done, positionBytes + done);
  }
}

/** Puts the names in a directory on stable storage: a new or removed file is durable only then. */
export function syncDirectory(path: string): void {
  const fd = openSync(path, 'r');
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}
