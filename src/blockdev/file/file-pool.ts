import {
  closeSync,
  fsyncSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readdirSync,
  statfsSync,
  statSync,
  unlinkSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { isVolumeName } from '../../core/volume-name.ts';
import type { BlockDevice } from '../block-device.ts';
import { readOnly } from '../layers/read-only.ts';
import type { CloneRequest, PoolRoom, StoragePool } from '../storage-pool.ts';
import { isSystemError } from '../system-error.ts';
import { AsyncWrites } from './async-writes.ts';
import { cloneInto } from './file-clone.ts';
import { fileDevice } from './file-device.ts';
import { syncDirectory } from './file-io.ts';
import { loadFileSyscalls } from './syscalls.ts';
import type { FileSyscalls } from './syscalls.ts';
import { VOLUME_SUFFIX, volumePath, VOLUMES_FOLDER } from './volume-path.ts';

/**
 * A directory of sparse files, one a drive. Every call is synchronous. The page cache is used, not O_DIRECT: reads of
 * images that many drives were copied from come from memory, and writes are made durable by `flush`.
 */
export function createFilePool(options: { directory: string }): StoragePool {
  return new FilePool(options.directory, loadFileSyscalls());
}

/** Only the owner of the process may read the data of drives that are not encrypted. */
const FILE_MODE = 0o600;
const FOLDER_MODE = 0o700;

class FilePool implements StoragePool {
  readonly #directory: string;
  readonly #syscalls: FileSyscalls;
  readonly #writes = new AsyncWrites();
  /** Folders that this process has put on stable storage. */
  readonly #durableFolders = new Set<string>();

  constructor(directory: string, syscalls: FileSyscalls) {
    this.#directory = directory;
    this.#syscalls = syscalls;
  }

  create(volumeName: string, sizeBytes: number): void {
    const path = this.#pathOf(volumeName);
    this.#makeFolders(dirname(path));
    const fd = openSync(path, 'w', FILE_MODE);
    try {
      ftruncateSync(fd, sizeBytes);
      fsyncSync(fd);
    } catch (error) {
      unlinkSync(path);
      throw error;
    } finally {
      closeSync(fd);
    }
    syncDirectory(dirname(path));
  }

  open(volumeName: string, access: 'read-only' | 'read-write'): BlockDevice {
    const fd = openSync(this.#pathOf(volumeName), access === 'read-only' ? 'r' : 'r+');
    try {
      const device = fileDevice(fd, this.#syscalls, this.#writes);
      return access === 'read-only' ? readOnly(device) : device;
    } catch (error) {
      closeSync(fd);
      throw error;
    }
  }

  remove(volumeName: string): void {
    // A pool's directory that is gone says nothing about the volumes that were in it.
    statSync(this.#directory);
    const path = this.#pathOf(volumeName);
    // The directory is synced also when there is no file: a removal before a crash may not have been durable.
    ifPresent(() => unlinkSync(path));
    ifPresent(() => syncDirectory(dirname(path)));
  }

  clone({ source, target, sizeBytes }: CloneRequest): string | null {
    const sourceFd = openSync(this.#pathOf(source), 'r');
    try {
      this.create(target, 0);
      const refusal = this.#shareBlocks(sourceFd, this.#pathOf(target), sizeBytes);
      if (refusal !== null) this.remove(target);
      return refusal;
    } finally {
      closeSync(sourceFd);
    }
  }

  list(): readonly string[] {
    statSync(this.#directory);
    const volumes = join(this.#directory, VOLUMES_FOLDER);
    const folders = ifPresent(() => readdirSync(volumes)) ?? [];
    const ours = folders.filter((folder) => /^[0-9a-f]{2}$/.test(folder));
    return ours.flatMap((folder) =>
      readdirSync(join(volumes, folder))
        .filter((name) => name.endsWith(VOLUME_SUFFIX))
        .map((name) => name.slice(0, -VOLUME_SUFFIX.length))
        .filter((volumeName) => isVolumeName(volumeName) && volumeName.startsWith(folder)),
    );
  }

  room(): PoolRoom {
    const { bsize, blocks, bavail } = statfsSync(this.#directory);
    return { totalBytes: blocks * bsize, freeBytes: bavail * bsize };
  }

  #shareBlocks(sourceFd: number, targetPath: string, sizeBytes: number): string | null {
    const targetFd = openSync(targetPath, 'r+');
    try {
      return cloneInto(this.#syscalls, { sourceFd, targetFd, sizeBytes });
    } finally {
      closeSync(targetFd);
    }
  }

  #pathOf(volumeName: string): string {
    if (!isVolumeName(volumeName)) throw new RangeError(`${volumeName} is no name of a volume.`);
    return volumePath(this.#directory, volumeName);
  }

  /** Makes the folders of a volume, but never the pool's own directory, which may be a disk that is not mounted. */
  #makeFolders(folder: string): void {
    if (this.#durableFolders.has(folder)) return;
    const volumes = dirname(folder);
    for (const path of [volumes, folder]) makeFolder(path);
    syncDirectory(volumes);
    syncDirectory(this.#directory);
    this.#durableFolders.add(folder);
  }
}

function makeFolder(path: string): void {
  try {
    mkdirSync(path, { mode: FOLDER_MODE });
  } catch (error) {
    if (!isSystemError(error, 'EEXIST')) throw error;
  }
}

/** The result of the call, or undefined when what it names does not exist. */
function ifPresent<Result>(call: () => Result): Result | undefined {
  try {
    return call();
  } catch (error) {
    if (isSystemError(error, 'ENOENT')) return undefined;
    throw error;
  }
}
