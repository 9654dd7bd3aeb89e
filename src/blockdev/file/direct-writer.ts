import { closeSync, constants, openSync, writeSync } from 'node:fs';
import { MIB } from '../../core/sizes.ts';
import { isSystemError } from '../system-error.ts';
import type { AsyncWrites, FilePiece } from './async-writes.ts';

/** From here on, copying into the page cache and writing that back costs more than writing past it. */
const DIRECT_WRITE_BYTES = MIB;
/** What offsets, lengths and memory are multiples of, on any disk that there is. */
const ALIGNMENT_BYTES = 4096;

/**
 * Writes large aligned pieces of a file past the page cache (O_DIRECT): the disk takes them from memory as they are,
 * without a copy. The page cache of the same range is dropped by the system, so that every reader sees them.
 */
export class DirectWriter {
  readonly #fd: number;
  readonly #writes: AsyncWrites;
  /** Opened at the first large write; null where the file system does not know it. */
  #directFd: number | null | undefined;

  /** @param fd a descriptor of the file, which stays open and somebody else's */
  constructor(fd: number, writes: AsyncWrites) {
    this.#fd = fd;
    this.#writes = writes;
  }

  /** Writes the whole buffer; false when it must be written the ordinary way, also where it was written already. */
  write(offsetBytes: number, from: Uint8Array): boolean {
    if (from.byteLength < DIRECT_WRITE_BYTES || !isAligned(offsetBytes, from)) return false;
    const fd = this.#descriptor();
    if (fd === null) return false;
    return this.#writes.write({ fd, offsetBytes, from }).every((part) => this.#writeInTurn(part));
  }

  close(): void {
    if (typeof this.#directFd === 'number') closeSync(this.#directFd);
    this.#directFd = null;
  }

  #descriptor(): number | null {
    if (this.#directFd === undefined) this.#directFd = openDirect(this.#fd);
    return this.#directFd;
  }

  #writeInTurn({ fd, offsetBytes, from }: FilePiece): boolean {
    let done = 0;
    while (done < from.byteLength) {
      try {
        done += writeSync(fd, from, done, from.byteLength - done, offsetBytes + done);
      } catch (error) {
        // Memory or a disk with other ideas of alignment.
        if (!isSystemError(error, 'EINVAL')) throw error;
        this.close();
        return false;
      }
    }
    return true;
  }
}

function isAligned(offsetBytes: number, from: Uint8Array): boolean {
  return [offsetBytes, from.byteLength, from.byteOffset].every((at) => at % ALIGNMENT_BYTES === 0);
}

function openDirect(fd: number): number | null {
  try {
    return openSync(`/proc/self/fd/${fd}`, constants.O_WRONLY + constants.O_DIRECT);
  } catch (error) {
    if (isSystemError(error, 'EINVAL', 'EOPNOTSUPP', 'ENOENT', 'EACCES')) return null;
    throw error;
  }
}
