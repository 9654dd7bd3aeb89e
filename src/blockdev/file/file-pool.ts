import {
  closeSync,
  fsyncSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readdirSync,
  fstatSync,
  rmSync,
  statfsSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { isUuid } from '../../core/uuid.ts';
import type { StoragePool } from '../storage-pool.ts';
import { isSystemError } from '../system-error.ts';
import { createFileDevice } from './file-device.ts';
import { shareBlocks } from './syscalls.ts';

const SUFFIX = '.img';

/** Where a volume's file is: spread over 256 directories, so that none grows too large to list. */
export function fileVolumePath(directory: string, driveId: string): string {
  return join(directory, 'drives', driveId.slice(0, 2), `${driveId}${SUFFIX}`);
}

/** A pool that keeps each volume as a sparse file in a directory. */
export function createFilePool({ directory }: { directory: string }): StoragePool {
  const pathOf = (driveId: string): string => fileVolumePath(directory, driveId);
  return {
    create(driveId, sizeBytes) {
      const path = pathOf(driveId);
      makeDirectory(dirname(path));
      withFile(path, 'w+', (fd) => {
        ftruncateSync(fd, sizeBytes);
        fsyncSync(fd);
      });
      syncDirectory(dirname(path));
    },
    open(driveId, access) {
      const fd = openSync(pathOf(driveId), access === 'read-only' ? 'r' : 'r+');
      return createFileDevice(fd, fstatSync(fd).size);
    },
    remove(driveId) {
      const path = pathOf(driveId);
      rmSync(path, { force: true });
      try {
        syncDirectory(dirname(path));
      } catch (error) {
        if (!isSystemError(error, 'ENOENT')) throw error;
      }
    },
    clone({ sourceDriveId, targetDriveId }) {
      return withFile(pathOf(sourceDriveId), 'r', (source) =>
        withFile(pathOf(targetDriveId), 'r+', (target) => cloneInto(target, source)),
      );
    },
    list: () => listVolumes(join(directory, 'drives')),
    room() {
      const { bsize, blocks, bavail } = statfsSync(directory);
      return { totalBytes: blocks * bsize, freeBytes: bavail * bsize };
    },
  };
}

function cloneInto(targetFd: number, sourceFd: number): boolean {
  const { size } = fstatSync(targetFd);
  // Sharing replaces the whole target, also what it has beyond the end of the source.
  if (!shareBlocks(targetFd, sourceFd)) return false;
  ftruncateSync(targetFd, size);
  fsyncSync(targetFd);
  return true;
}

function listVolumes(directory: string): readonly string[] {
  try {
    const names = readdirSync(directory, { recursive: true, encoding: 'utf8' });
    return names.flatMap((name) => {
      const driveId = name.slice(3, -SUFFIX.length);
      return name.endsWith(SUFFIX) && isUuid(driveId) ? [driveId] : [];
    });
  } catch (error) {
    if (isSystemError(error, 'ENOENT')) return [];
    throw error;
  }
}

/** Makes a directory and those above it, and their entries durable. */
function makeDirectory(directory: string): void {
  const first = mkdirSync(directory, { recursive: true });
  if (first === undefined) return;
  for (let path = directory; path.length >= dirname(first).length; path = dirname(path)) {
    syncDirectory(path);
    if (path === dirname(path)) return;
  }
}

function syncDirectory(directory: string): void {
  withFile(directory, 'r', fsyncSync);
}

function withFile<Result>(path: string, flags: string, work: (fd: number) => Result): Result {
  const fd = openSync(path, flags, 0o600);
  try {
    return work(fd);
  } finally {
    closeSync(fd);
  }
}
