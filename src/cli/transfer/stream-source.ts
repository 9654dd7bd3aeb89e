import { createReadStream } from 'node:fs';
import type { Readable } from 'node:stream';
import { createGunzip, createZstdDecompress } from 'node:zlib';
import { FileError, fileError, systemCode } from '../cli-error.ts';
import type { UploadSource } from './upload-source.ts';

const UNPACKED_CHUNK_BYTES = 256 * 1024;

export type Packing = 'gzip' | 'zstd';

/** The packing that a file's name tells: `.gz` or `.zst`. */
export function packingOf(path: string): Packing | null {
  if (path.endsWith('.gz')) return 'gzip';
  return path.endsWith('.zst') ? 'zstd' : null;
}

/** A pipe: bytes in order, of unknown number. */
export function openStreamSource(name: string, stream: Readable): UploadSource {
  return new StreamSource(name, stream);
}

/** What is packed in a file. */
export function openPackedSource(path: string, packing: Packing): UploadSource {
  const options = { chunkSize: UNPACKED_CHUNK_BYTES };
  const unpacker = packing === 'gzip' ? createGunzip(options) : createZstdDecompress(options);
  const file = createReadStream(path, { highWaterMark: UNPACKED_CHUNK_BYTES });
  file.on('error', (error) => unpacker.destroy(error));
  file.pipe(unpacker);
  unpacker.on('close', () => file.destroy());
  return new StreamSource(path, unpacker);
}

class StreamSource implements UploadSource {
  readonly name: string;
  readonly sizeBytes = null;
  readonly #stream: Readable;
  readonly #chunks: AsyncIterator<Buffer>;
  #rest: Buffer = Buffer.alloc(0);
  /** Each read waits for the one before it, so that the bytes go out in order. */
  #turn: Promise<unknown> = Promise.resolve();

  constructor(name: string, stream: Readable) {
    this.name = name;
    this.#stream = stream;
    // An error may come before the first read, which will meet it; without a listener it would end the process.
    stream.on('error', () => undefined);
    this.#chunks = stream.iterator() as AsyncIterator<Buffer>;
  }

  read(_offsetBytes: number, target: Buffer): Promise<number> {
    const reading = this.#turn.then(() => this.#fill(target));
    this.#turn = reading;
    return reading;
  }

  isHole(): boolean {
    return false;
  }

  async close(): Promise<void> {
    this.#stream.destroy();
  }

  async #fill(target: Buffer): Promise<number> {
    let filledBytes = 0;
    while (filledBytes < target.length) {
      if (this.#rest.length === 0) {
        const chunk = await this.#chunks.next().catch((error: unknown) => this.#fail(error));
        if (chunk.done === true) break;
        this.#rest = chunk.value;
      }
      const copiedBytes = this.#rest.copy(target, filledBytes);
      this.#rest = this.#rest.subarray(copiedBytes);
      filledBytes += copiedBytes;
    }
    return filledBytes;
  }

  #fail(error: unknown): never {
    const code = systemCode(error) ?? '';
    if (code === 'ZSTD_error_dictionary_wrong') {
      const reason = `${this.name} needs the dictionary that it was packed with`;
      throw new FileError('failed', `${reason}; unpack it before, or upload it as it is with --raw`, error);
    }
    if (error instanceof Error && /^(Z_|ZSTD_|ERR_)/.test(code)) {
      const reason = `${this.name} is not well packed (${error.message}); --raw uploads it as it is`;
      throw new FileError('failed', reason, error);
    }
    throw fileError('read', this.name, error);
  }
}
