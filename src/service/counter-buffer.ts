import { NO_COUNTERS } from '../core/drive.ts';
import type { DriveCounters } from '../core/drive.ts';
import type { MetadataStore } from '../metadata/metadata-store.ts';

/**
 * Collects what clients read and write, so that counting costs one transaction now and then and not one a request.
 * Info flushes it first: a figure that somebody has seen is durable, so it can never go back.
 */
export interface CounterBuffer {
  count(driveId: string, transfer: { kind: 'read' | 'write'; bytes: number }): void;
  /** Counts what was read and written in many requests. */
  add(driveId: string, counters: DriveCounters): void;
  /** Resolves once everything counted before the call is in the metadata. */
  flush(): Promise<void>;
}

/** @param collect adds what others have counted by themselves; called before each flush */
export function createCounterBuffer(
  metadata: Pick<MetadataStore, 'addCounters'>,
  collect: () => void = () => undefined,
): CounterBuffer {
  let pending = new Map<string, DriveCounters>();
  let lastFlush: Promise<void> = Promise.resolve();

  async function flushPending(): Promise<void> {
    collect();
    if (pending.size === 0) return;
    const deltas = pending;
    pending = new Map();
    try {
      await metadata.addCounters(deltas);
    } catch (error) {
      for (const [driveId, delta] of deltas) add(driveId, delta);
      throw error;
    }
  }

  function add(driveId: string, delta: DriveCounters): void {
    const sum = pending.get(driveId) ?? NO_COUNTERS;
    pending.set(driveId, {
      readBytes: sum.readBytes + delta.readBytes,
      readRequests: sum.readRequests + delta.readRequests,
      writeBytes: sum.writeBytes + delta.writeBytes,
      writeRequests: sum.writeRequests + delta.writeRequests,
    });
  }

  return {
    add,
    count(driveId, { kind, bytes }) {
      add(
        driveId,
        kind === 'read'
          ? { ...NO_COUNTERS, readBytes: bytes, readRequests: 1 }
          : { ...NO_COUNTERS, writeBytes: bytes, writeRequests: 1 },
      );
    },
    async flush() {
      // One after the other: a caller must not overtake a flush that carries what it counted.
      lastFlush = lastFlush.then(flushPending, flushPending);
      await lastFlush;
    },
  };
}
