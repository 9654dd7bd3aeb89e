import { closeSync, fdatasyncSync, fstatSync, fsyncSync, ftruncateSync } from 'node:fs';
import { MIB } from '../../core/sizes.ts';
import type { BlockDevice, Extent, Range } from '../block-device.ts';
import { checkRange, checkSize, ExtentList } from '../ranges.ts';
import { isSystemError, systemError } from '../system-error.ts';
import type { AsyncWrites } from './async-writes.ts';
import { DirectWriter } from './direct-writer.ts';
import { readFully, writeFully } from './file-io.ts';
import type { FileSyscalls } from './syscalls.ts';

/** What is written at a time where a file system cannot punch holes. */
const ZERO_PIECE_BYTES = MIB;

/**
 * A sparse file as a device, byte by byte, by synchronous calls. It owns the descriptor. Its size is that of the file
 * when it was opened or last resized through it.
 */
export function fileDevice(fd: number, syscalls: FileSyscalls, writes: AsyncWrites): BlockDevice {
  return new FileDevice(fd, syscalls, writes);
}

class FileDevice implements BlockDevice {
  readonly blockSize = 1;
  readonly #fd: number;
  readonly #direct: DirectWriter;
  readonly #syscalls: FileSyscalls;
  /** Some file systems count no names of a file. */
  readonly #hasNames: boolean;
  #sizeBytes: number;

  constructor(fd: number, syscalls: FileSyscalls, writes: AsyncWrites) {
    this.#fd = fd;
    this.#direct = new DirectWriter(fd, writes);
    this.#syscalls = syscalls;
    const { size, nlink } = fstatSync(fd);
    this.#sizeBytes = size;
    this.#hasNames = nlink > 0;
  }

  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  read(offsetBytes: number, into: Uint8Array): void {
    checkRange(this, offsetBytes, into.byteLength);
    readFully(this.#fd, into, offsetBytes);
  }

  write(offsetBytes: number, from: Uint8Array): void {
    checkRange(this, offsetBytes, from.byteLength);
    if (!this.#direct.write(offsetBytes, from)) writeFully(this.#fd, from, offsetBytes);
  }

  zero(range: Range): void {
    if (this.#punch(range)) return;
    const zeros = new Uint8Array(Math.min(ZERO_PIECE_BYTES, range.lengthBytes));
    const end = range.offsetBytes + range.lengthBytes;
    for (let offsetBytes = range.offsetBytes; offsetBytes < end; offsetBytes += zeros.byteLength) {
      writeFully(this.#fd, zeros.subarray(0, end - offsetBytes), offsetBytes);
    }
  }

  discard(range: Range): void {
    this.#punch(range);
  }

  reserve(range: Range): void {
    checkRange(this, range.offsetBytes, range.lengthBytes);
    if (range.lengthBytes > 0) ifSupported(() => this.#syscalls.allocate(this.#fd, range));
  }

  extents(range: Range): readonly Extent[] {
    checkRange(this, range.offsetBytes, range.lengthBytes);
    const end = range.offsetBytes + range.lengthBytes;
    const list = new ExtentList(range.offsetBytes);
    let offsetBytes = range.offsetBytes;
    while (offsetBytes < end) {
      const data = this.#syscalls.seekData(this.#fd, offsetBytes);
      if (data === null || data >= end) break;
      const hole = this.#syscalls.seekHole(this.#fd, data);
      list.extendTo(data, 'zero');
      offsetBytes = Math.min(hole ?? end, end);
      list.extendTo(offsetBytes, 'data');
    }
    list.extendTo(end, 'zero');
    return list.extents;
  }

  /** Fails with ESTALE once the file has been deleted: what is in it is lost when the last descriptor is closed. */
  flush(): void {
    fdatasyncSync(this.#fd);
    if (!this.#hasNames || fstatSync(this.#fd).nlink > 0) return;
    throw systemError('ESTALE', 'fdatasync', "the drive's file was deleted while it was open");
  }

  resize(sizeBytes: number): void {
    checkSize(this.blockSize, sizeBytes);
    // Cutting a file off also zeroes the rest of its last block, so that growing again brings nothing back.
    ftruncateSync(this.#fd, sizeBytes);
    fsyncSync(this.#fd);
    this.#sizeBytes = sizeBytes;
  }

  close(): void {
    this.#direct.close();
    closeSync(this.#fd);
  }

  #punch(range: Range): boolean {
    checkRange(this, range.offsetBytes, range.lengthBytes);
    return range.lengthBytes === 0 || ifSupported(() => this.#syscalls.punchHole(this.#fd, range));
  }
}

/** Whether the call was done; false where the file system does not know it. */
function ifSupported(call: () => void): boolean {
  try {
    call();
    return true;
  } catch (error) {
    if (isSystemError(error, 'EOPNOTSUPP', 'ENOTSUP', 'ENOSYS')) return false;
    throw error;
  }
}
