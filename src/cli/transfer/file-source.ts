import { open, readFile, type FileHandle } from 'node:fs/promises';
import type { Stats } from 'node:fs';
import { CliError, fileError, usageError } from '../cli-error.ts';
import type { NextDataBytes } from '../cli-io.ts';
import type { UploadSource } from './upload-source.ts';

/** A file or a block device, read at any offset. */
export async function openFileSource(path: string, nextDataBytes?: NextDataBytes): Promise<UploadSource> {
  const handle = await open(path, 'r').catch((error: unknown) => {
    throw fileError('read', path, error);
  });
  try {
    const sizeBytes = await seekableSize(path, await handle.stat());
    return new FileSource({ path, handle, sizeBytes, nextDataBytes });
  } catch (error) {
    await handle.close();
    throw error;
  }
}

async function seekableSize(path: string, stats: Stats): Promise<number> {
  if (stats.isFile()) return stats.size;
  if (stats.isBlockDevice()) return blockDeviceBytes(path, stats.rdev);
  if (stats.isDirectory()) throw usageError(`cannot read ${path}: it is a directory`);
  throw usageError(`${path} is neither a file nor a block device; a pipe is read with - in its place`);
}

/** Node has no seek to the end; Linux says the size of a block device in 512-byte sectors. */
export async function blockDeviceBytes(path: string, rdev: number): Promise<number> {
  const major = Math.floor(rdev / 256) % 4096;
  const minor = (rdev % 256) + Math.floor(rdev / 2 ** 20) * 256;
  const sectors = await readFile(`/sys/dev/block/${major}:${minor}/size`, 'utf8').catch((error: unknown) => {
    throw new CliError('failed', `cannot tell the size of ${path}`, error);
  });
  return Number(sectors) * 512;
}

interface FileSourceParts {
  readonly path: string;
  readonly handle: FileHandle;
  readonly sizeBytes: number;
  readonly nextDataBytes: NextDataBytes | undefined;
}

class FileSource implements UploadSource {
  readonly name: string;
  readonly sizeBytes: number;
  readonly #handle: FileHandle;
  readonly #holes: HoleFinder | null;

  constructor({ path, handle, sizeBytes, nextDataBytes }: FileSourceParts) {
    this.name = path;
    this.sizeBytes = sizeBytes;
    this.#handle = handle;
    this.#holes = nextDataBytes === undefined ? null : new HoleFinder(handle.fd, nextDataBytes);
  }

  async read(offsetBytes: number, target: Buffer): Promise<number> {
    try {
      return await readFully(this.#handle, offsetBytes, target);
    } catch (error) {
      throw fileError('read', this.name, error);
    }
  }

  isHole(offsetBytes: number, sizeBytes: number): boolean {
    return offsetBytes >= this.sizeBytes || (this.#holes?.isHole(offsetBytes, sizeBytes) ?? false);
  }

  async close(): Promise<void> {
    await this.#handle.close();
  }
}

/** Reads until the target is full or the file ends. */
export async function readFully(handle: FileHandle, offsetBytes: number, target: Buffer): Promise<number> {
  let filledBytes = 0;
  while (filledBytes < target.length) {
    const { bytesRead } = await handle.read(
      target,
      filledBytes,
      target.length - filledBytes,
      offsetBytes + filledBytes,
    );
    if (bytesRead === 0) break;
    filledBytes += bytesRead;
  }
  return filledBytes;
}

/** Asks the file system once for each hole instead of once for each block in it. */
export class HoleFinder {
  readonly #fd: number;
  readonly #nextDataBytes: NextDataBytes;
  /** There is a hole from the one to the other. */
  #holeStartBytes = 0;
  #holeEndBytes = 0;

  constructor(fd: number, nextDataBytes: NextDataBytes) {
    this.#fd = fd;
    this.#nextDataBytes = nextDataBytes;
  }

  isHole(offsetBytes: number, sizeBytes: number): boolean {
    if (offsetBytes < this.#holeStartBytes || offsetBytes >= this.#holeEndBytes) {
      this.#holeStartBytes = offsetBytes;
      this.#holeEndBytes = this.#nextDataBytes(this.#fd, offsetBytes) ?? Infinity;
    }
    return offsetBytes + sizeBytes <= this.#holeEndBytes;
  }
}
