import { closeSync, fdatasyncSync, fsyncSync, ftruncateSync, readSync, writeSync } from 'node:fs';
import type { BlockDevice, Extent, Range } from '../block-device.ts';
import { checkRange, checkSize, ExtentList } from '../ranges.ts';
import { isSystemError } from '../system-error.ts';
import { allocateRange, punchHole, seekData, seekHole } from './syscalls.ts';

/** What is written at a time where a range cannot be made a hole. */
const ZEROS = Buffer.alloc(256 * 1024);

/**
 * A device over an open file, which it closes. Calls wait for the disk, so it belongs into a worker thread. A file that
 * is shorter than the device reads as zeros beyond its end.
 */
export function createFileDevice(fd: number, initialSizeBytes: number): BlockDevice {
  return new FileDevice(fd, initialSizeBytes);
}

class FileDevice implements BlockDevice {
  readonly blockSize = 1;
  readonly #fd: number;
  #sizeBytes: number;

  constructor(fd: number, sizeBytes: number) {
    checkSize(1, sizeBytes);
    this.#fd = fd;
    this.#sizeBytes = sizeBytes;
  }

  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  read(offsetBytes: number, into: Uint8Array): void {
    checkRange(this, offsetBytes, into.byteLength);
    for (let done = 0; done < into.byteLength;) {
      const count = readSync(this.#fd, into, done, into.byteLength - done, offsetBytes + done);
      if (count === 0) {
        into.fill(0, done);
        return;
      }
      done += count;
    }
  }

  write(offsetBytes: number, from: Uint8Array): void {
    checkRange(this, offsetBytes, from.byteLength);
    for (let done = 0; done < from.byteLength;) {
      done += writeSync(this.#fd, from, done, from.byteLength - done, offsetBytes + done);
    }
  }

  zero(range: Range): void {
    if (!this.#punch(range)) this.#writeZeros(range);
  }

  discard(range: Range): void {
    this.#punch(range);
  }

  reserve({ offsetBytes, lengthBytes }: Range): void {
    checkRange(this, offsetBytes, lengthBytes);
    if (lengthBytes === 0) return;
    try {
      allocateRange(this.#fd, offsetBytes, lengthBytes);
    } catch (error) {
      // Where space cannot be claimed ahead, the write itself finds out.
      if (!isSystemError(error, 'EOPNOTSUPP', 'ENOSYS')) throw error;
    }
  }

  extents({ offsetBytes, lengthBytes }: Range): readonly Extent[] {
    checkRange(this, offsetBytes, lengthBytes);
    const list = new ExtentList(offsetBytes);
    const end = offsetBytes + lengthBytes;
    for (let position = offsetBytes; position < end;) {
      const data = Math.min(seekData(this.#fd, position) ?? end, end);
      list.extendTo(data, 'zero');
      if (data === end) break;
      position = Math.min(seekHole(this.#fd, data), end);
      list.extendTo(position, 'data');
    }
    return list.extents;
  }

  flush(): void {
    fdatasyncSync(this.#fd);
  }

  resize(sizeBytes: number): void {
    checkSize(1, sizeBytes);
    // What an earlier shrink that was cut short has left beyond the end must not come back.
    ftruncateSync(this.#fd, Math.min(this.#sizeBytes, sizeBytes));
    ftruncateSync(this.#fd, sizeBytes);
    fsyncSync(this.#fd);
    this.#sizeBytes = sizeBytes;
  }

  close(): void {
    closeSync(this.#fd);
  }

  #punch({ offsetBytes, lengthBytes }: Range): boolean {
    checkRange(this, offsetBytes, lengthBytes);
    if (lengthBytes === 0) return true;
    try {
      punchHole(this.#fd, offsetBytes, lengthBytes);
      return true;
    } catch (error) {
      if (isSystemError(error, 'EOPNOTSUPP', 'ENOSYS')) return false;
      throw error;
    }
  }

  #writeZeros({ offsetBytes, lengthBytes }: Range): void {
    for (let done = 0; done < lengthBytes; done += ZEROS.byteLength) {
      this.write(offsetBytes + done, ZEROS.subarray(0, lengthBytes - done));
    }
  }
}
