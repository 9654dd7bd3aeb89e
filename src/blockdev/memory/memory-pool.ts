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

  function contentOf(volumeName: string): MemoryContent {
    const content = volumes.get(volumeName);
    if (content === undefined) throw systemError('ENOENT', 'open');
    return content;
  }

  function remove(volumeName: string): void {
    const content = volumes.get(volumeName);
    if (content === undefined) return;
    memoryDevice(content, budget).resize(0);
    volumes.delete(volumeName);
  }

  return {
    create(volumeName, sizeBytes) {
      remove(volumeName);
      volumes.set(volumeName, { sizeBytes, pages: new Map() });
    },
    open(volumeName, access) {
      const device = memoryDevice(contentOf(volumeName), budget);
      return access === 'read-only' ? readOnly(device) : device;
    },
    remove,
    clone({ source, target }) {
      contentOf(source);
      remove(target);
      return 'memory is not shared';
    },
    list: () => [...volumes.keys()],
    room: () => ({ totalBytes: capacityBytes, freeBytes: capacityBytes - budget.usedBytes }),
  };
}
