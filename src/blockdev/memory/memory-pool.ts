import { GIB } from '../../core/sizes.ts';
import { readOnly } from '../layers/read-only.ts';
import type { StoragePool } from '../storage-pool.ts';
import { systemError } from '../system-error.ts';
import { memoryDevice } from './memory-device.ts';
import type { MemoryBudget, MemoryContent } from './memory-device.ts';

/** A pool in the memory of this thread, for tests. Beyond its capacity it fails with ENOSPC. */
export function createMemoryPool({ capacityBytes = GIB }: { capacityBytes?: number } = {}): StoragePool {
  const volumes = new Map<string, MemoryContent>();
  const budget: MemoryBudget = { capacityBytes, usedBytes: 0 };

  function contentOf(driveId: string): MemoryContent {
    const content = volumes.get(driveId);
    if (content === undefined) throw systemError('ENOENT', 'open');
    return content;
  }

  function remove(driveId: string): void {
    const content = volumes.get(driveId);
    if (content === undefined) return;
    memoryDevice(content, budget).resize(0);
    volumes.delete(driveId);
  }

  return {
    create(driveId, sizeBytes) {
      remove(driveId);
      volumes.set(driveId, { sizeBytes, pages: new Map() });
    },
    open(driveId, access) {
      const device = memoryDevice(contentOf(driveId), budget);
      return access === 'read-only' ? readOnly(device) : device;
    },
    remove,
    clone({ sourceDriveId, targetDriveId }) {
      contentOf(sourceDriveId);
      contentOf(targetDriveId);
      return false;
    },
    list: () => [...volumes.keys()],
    room: () => ({ totalBytes: capacityBytes, freeBytes: capacityBytes - budget.usedBytes }),
  };
}
