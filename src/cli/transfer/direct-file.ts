import { constants } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';
import { systemCode } from '../cli-error.ts';

/** What offsets, lengths and memory are multiples of, on any disk that there is. */
const ALIGNMENT_BYTES = 4096;

/**
 * Writes large aligned pieces of a file past the page cache (O_DIRECT): the disk takes them from memory as they are,
 * without a copy, and at once instead of at the end. The system drops what the page cache holds of the same range.
 */
export class DirectFile {
  #handle: FileHandle | null;

  /** A file system that knows no such writes makes this one that writes nothing. */
  static async open(path: string): Promise<DirectFile> {
    const handle = await open(path, constants.O_WRONLY + constants.O_DIRECT).catch(() => null);
    return new DirectFile(handle);
  }

  private constructor(handle: FileHandle | null) {
    this.#handle = handle;
  }

  /** Writes all of the bytes; false when they must be written, or written again, the ordinary way. */
  async write(offsetBytes: number, bytes: Buffer): Promise<boolean> {
    const isAligned = [offsetBytes, bytes.length, bytes.byteOffset].every((at) => at % ALIGNMENT_BYTES === 0);
    if (!isAligned) return false;
    let writtenBytes = 0;
    while (writtenBytes < bytes.length) {
      if (this.#handle === null) return false;
      const rest = bytes.length - writtenBytes;
      try {
        const { bytesWritten } = await this.#handle.write(
          bytes,
          writtenBytes,
          rest,
          offsetBytes + writtenBytes,
        );
        writtenBytes += bytesWritten;
      } catch (error) {
        if (systemCode(error) !== 'EINVAL') throw error;
        // Memory or a disk with other ideas of alignment.
        await this.close();
      }
    }
    return true;
  }

  async close(): Promise<void> {
    const handle = this.#handle;
    this.#handle = null;
    await handle?.close();
  }
}
