import { open, rename, stat, type FileHandle } from 'node:fs/promises';
import type { Stats } from 'node:fs';
import { dirname } from 'node:path';
import { FileError, fileError, systemCode, usageError } from '../cli-error.ts';
import type { NextDataBytes } from '../cli-io.ts';
import { DirectFile } from './direct-file.ts';
import { EarlyFlush } from './early-flush.ts';
import { blockDeviceBytes, HoleFinder, readFully } from './file-source.ts';

export const PART_SUFFIX = '.drivebay-part';

/** A file or block device that takes a drive's bytes at any offset, and may hold some of them already. */
export interface SeekableTarget {
  /** Whether nothing was there: then all of it reads as zeros. */
  readonly isFresh: boolean;
  isHole(offsetBytes: number, sizeBytes: number): boolean;
  /** Fills the target with what is there now. */
  read(offsetBytes: number, target: Buffer): Promise<void>;
  write(offsetBytes: number, bytes: Buffer): Promise<void>;
  /** Makes everything durable, and the file appear under its name. */
  finish(): Promise<void>;
  close(): Promise<void>;
}

/** What is at the path now: something to replace, something to write into, or a pipe. */
export async function targetKind(path: string): Promise<'file' | 'device' | 'pipe'> {
  const stats = await stat(path).catch((error: unknown): Stats | null => {
    if (systemCode(error) === 'ENOENT') return null;
    throw fileError('write', path, error);
  });
  if (stats === null || stats.isFile()) return 'file';
  if (stats.isBlockDevice()) return 'device';
  if (stats.isDirectory()) throw usageError(`cannot write ${path}: it is a directory`);
  return 'pipe';
}

/**
 * Opens `FILE.drivebay-part`, which becomes FILE at the end: so FILE is never half of something, and a part that is
 * there tells that a download was interrupted.
 */
export async function openFileTarget(
  path: string,
  sizeBytes: number,
  nextDataBytes?: NextDataBytes,
): Promise<SeekableTarget> {
  const partPath = path + PART_SUFFIX;
  try {
    const { handle, isFresh } = await openPart(partPath);
    await handle.truncate(sizeBytes);
    const finish = async (): Promise<void> => {
      await handle.sync();
      await rename(partPath, path);
      await syncDirectory(dirname(path));
    };
    const direct = await DirectFile.open(partPath);
    return new HandleTarget({ path, partPath, handle, direct, isFresh, nextDataBytes, finish });
  } catch (error) {
    throw fileError('write', partPath, error);
  }
}

/** Opens a block device, which is written in place. */
export async function openDeviceTarget(path: string, sizeBytes: number): Promise<SeekableTarget> {
  const handle = await open(path, 'r+').catch((error: unknown) => {
    throw fileError('write', path, error);
  });
  const deviceBytes = await blockDeviceBytes(path, (await handle.stat()).rdev);
  if (deviceBytes < sizeBytes) {
    await handle.close();
    throw usageError(`${path} has ${deviceBytes} bytes, which is less than the drive's ${sizeBytes}`);
  }
  return new HandleTarget({
    path,
    partPath: null,
    handle,
    direct: null,
    isFresh: false,
    nextDataBytes: undefined,
    finish: () => handle.sync(),
  });
}

async function openPart(partPath: string): Promise<{ handle: FileHandle; isFresh: boolean }> {
  try {
    return { handle: await open(partPath, 'wx+'), isFresh: true };
  } catch (error) {
    if (systemCode(error) !== 'EEXIST') throw error;
    return { handle: await open(partPath, 'r+'), isFresh: false };
  }
}

async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r');
  await directory.sync().finally(() => directory.close());
}

interface HandleTargetParts {
  readonly path: string;
  /** Where the bytes are until all are there, when that is not the path. */
  readonly partPath: string | null;
  readonly handle: FileHandle;
  readonly direct: DirectFile | null;
  readonly isFresh: boolean;
  readonly nextDataBytes: NextDataBytes | undefined;
  finish(): Promise<void>;
}

class HandleTarget implements SeekableTarget {
  readonly isFresh: boolean;
  readonly #parts: HandleTargetParts;
  readonly #holes: HoleFinder | null;
  readonly #flush: EarlyFlush;

  constructor(parts: HandleTargetParts) {
    this.isFresh = parts.isFresh;
    this.#parts = parts;
    const { handle, nextDataBytes } = parts;
    this.#flush = new EarlyFlush(() => handle.datasync());
    this.#holes = nextDataBytes === undefined ? null : new HoleFinder(handle.fd, nextDataBytes);
  }

  isHole(offsetBytes: number, sizeBytes: number): boolean {
    return this.isFresh || (this.#holes?.isHole(offsetBytes, sizeBytes) ?? false);
  }

  async read(offsetBytes: number, target: Buffer): Promise<void> {
    const { handle, path, partPath } = this.#parts;
    const filledBytes = await readFully(handle, offsetBytes, target).catch((error: unknown) => {
      const told = fileError('read', partPath ?? path, error);
      if (partPath === null || !(told instanceof FileError)) throw told;
      throw new FileError('failed', `${told.message}; without that file the download begins anew`, error);
    });
    if (filledBytes < target.length) throw new FileError('failed', `${partPath ?? path} became shorter`);
  }

  async write(offsetBytes: number, bytes: Buffer): Promise<void> {
    const { direct } = this.#parts;
    if (direct !== null && (await this.#named(direct.write(offsetBytes, bytes)))) return;
    let writtenBytes = 0;
    while (writtenBytes < bytes.length) {
      const rest = bytes.length - writtenBytes;
      const writing = this.#parts.handle.write(bytes, writtenBytes, rest, offsetBytes + writtenBytes);
      writtenBytes += (await this.#named(writing)).bytesWritten;
    }
    this.#flush.wrote(bytes.length);
  }

  async finish(): Promise<void> {
    await this.#named(this.#flush.settle());
    await this.#named(this.#parts.finish());
  }

  async close(): Promise<void> {
    // A failure has been told by `finish`, or does not matter because there is none.
    await this.#flush.settle().catch(() => undefined);
    await this.#parts.direct?.close();
    await this.#parts.handle.close();
  }

  #named<Result>(work: Promise<Result>): Promise<Result> {
    return work.catch((error: unknown) => {
      throw fileError('write', this.#parts.path, error);
    });
  }
}
