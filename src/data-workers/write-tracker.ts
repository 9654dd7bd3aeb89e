/**
 * Knows which drives are being written at this moment, so that imaging, shrinking and destroying can wait for writes
 * that were let through before the drive's state changed.
 */
export interface WriteTracker {
  /** Marks a write as under way until the function it returns is called. */
  begin(driveId: string): () => void;
  /** Resolves when every write that is under way now has ended; later ones do not count. */
  quiesce(driveId: string): Promise<void>;
}

export function createWriteTracker(): WriteTracker {
  const writes = new Map<string, Set<Promise<void>>>();
  return {
    begin(driveId) {
      const { promise, resolve } = Promise.withResolvers<void>();
      const ofDrive = writes.get(driveId) ?? new Set();
      writes.set(driveId, ofDrive.add(promise));
      return () => {
        ofDrive.delete(promise);
        if (ofDrive.size === 0 && writes.get(driveId) === ofDrive) writes.delete(driveId);
        resolve();
      };
    },
    async quiesce(driveId) {
      await Promise.all(writes.get(driveId) ?? []);
    },
  };
}
