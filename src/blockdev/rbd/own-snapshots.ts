import type { Image } from './librbd.ts';
import type { SnapshotCalls } from './snapshots.ts';

// A clone is made by way of a snapshot that has the name of the clone's own image. It is in sight only until the clone is made.

const PREFIX = 'drivebay-';

/** The snapshots that clones which were cut short have left of an image. */
export function leftSnapshots(
  snapshots: SnapshotCalls,
  image: Image,
  prefix: string = PREFIX,
): readonly string[] {
  return snapshots.list(image).filter((snapshot) => snapshot.startsWith(prefix));
}

export function dropSnapshots(snapshots: SnapshotCalls, image: Image): void {
  for (const snapshot of leftSnapshots(snapshots, image)) snapshots.remove(image, snapshot);
}
