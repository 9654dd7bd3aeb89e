import { closeSync, constants, openSync, writeSync } from 'node:fs';
import { MIB } from '../../core/sizes.ts';
import { isSystemError } from '../system-error.ts';
import type { AsyncWrites } from './async-writes.ts';

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
  /** Opened at the first large write; null where the file system does not know it. */
  #directFd: number | null | undefined;

  /** @param fd a descriptor of the file, which stays open and somebody else's */
  constructor(fd: number) {
    this.#fd = fd;
  }

  /** Writes the whole buffer; false, with nothing written, when it must be written the ordinary way. */
  write(offsetBytes: number, from: Uint8Array): boolean {
    if (from.byteLength < DIRECT_WRITE_BYTES) return false;
    if (!isAligned(offsetBytes, from) || this.#descriptor() === null) return false;
    return this.#writeAligned(offsetBytes, from);
  }

  /** Begins to write the whole buffer, which `settle` of the same writes waits for; false when nothing was begun. */
  begin(writes: AsyncWrites, offsetBytes: number, from: Uint8Array): boolean {
    const fd = isAligned(offsetBytes, from) ? this.#descriptor() : null;
    return fd !== null && writes.begin({ fd, offsetBytes, from });
  }

  close(): void {
    if (typeof this.#directFd === 'number') closeSync(this.#directFd);
    this.#directFd = null;
  }

  #descriptor(): number | null {
    if (this.#directFd === undefined) this.#directFd = openDirect(this.#fd);
    return this.#directFd;
  }

  #writeAligned(offsetBytes: number, from: Uint8Array): boolean {
    const fd = this.#descriptor();
    if (fd === null) return false;
    let done = 0;
    while (done < from.byteLength) {
      try {
        done += writeSync(fd, from, done, from.byteLength - done, offsetBytes + done);
      } catch (error) {
        // Memory or a disk with other ideas of alignment; what was written so far is simply written again.
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
