import { isSystemError } from '../system-error.ts';
import type { IoContext } from './librados.ts';
import type { Image, Librbd } from './librbd.ts';
import { dropSnapshots } from './own-snapshots.ts';
import type { SnapshotCalls } from './snapshots.ts';
import type { TrashCalls } from './trash-calls.ts';

export interface RemovalCalls {
  readonly librbd: Librbd;
  readonly snapshots: SnapshotCalls;
  readonly trash: TrashCalls;
}

/**
 * Puts an image into Ceph's trash, from where it is swept: there it stays as long as it has clones, or somebody who has died is
 * still known to have it open, and there it is found when its removal is cut short.
 *
 * @returns its id in the trash; null when there is nothing to be swept
 */
export function removeImage(calls: RemovalCalls, pool: IoContext, name: string): string | null {
  const { librbd, snapshots, trash } = calls;
  const image = openIfWhole(librbd, pool, name);
  if (image === null) {
    removeBegun(librbd, pool, name);
    return null;
  }
  try {
    dropSnapshots(snapshots, image);
    const id = trash.idOf(image);
    // Another node may have put it there since it was opened.
    unlessGone(() => trash.put(pool, name));
    return id;
  } finally {
    librbd.close(image);
  }
}

function openIfWhole(librbd: Librbd, pool: IoContext, name: string): Image | null {
  try {
    return librbd.open(pool, name, 'read-write');
  } catch (error) {
    if (isSystemError(error, 'ENOENT')) return null;
    throw error;
  }
}

/** What a create that was cut short has left cannot be opened, and has no place in the trash. */
function removeBegun(librbd: Librbd, pool: IoContext, name: string): void {
  unlessGone(() => librbd.remove(pool, name));
}

function unlessGone(remove: () => void): void {
  try {
    remove();
  } catch (error) {
    if (!isSystemError(error, 'ENOENT')) throw error;
  }
}
