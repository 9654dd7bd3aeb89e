import { NO_COUNTERS } from '../core/drive.ts';
import type { DriveCounters } from '../core/drive.ts';
import type { MetadataStore } from '../metadata/metadata-store.ts';
import { NO_ACTIVITY } from './drive-activity.ts';
import type { DriveActivity, IoActivity } from './drive-activity.ts';

/**
 * Where everything that is done to drives is counted: at once for who looks at their activity, and for their info
 * together with others, so that counting costs one transaction now and then and not one a request. Info flushes it
 * first: a figure that somebody has seen is durable, so it can never go back.
 */
export interface CounterBuffer {
  /** Counts a request, and how long it took. */
  count(driveId: string, request: { kind: 'read' | 'write'; bytes: number; seconds: number }): void;
  /** Counts what was done in many requests. */
  add(driveId: string, done: IoActivity): void;
  /** Resolves once everything counted before the call is in the metadata. */
  flush(): Promise<void>;
}

/** @param parts `collect` adds what others have counted by themselves; called before each flush */
export function createCounterBuffer(parts: {
  metadata: Pick<MetadataStore, 'addCounters'>;
  activity: Pick<DriveActivity, 'add'>;
  collect: () => void;
}): CounterBuffer {
  let pending = new Map<string, DriveCounters>();
  let running: Promise<void> = Promise.resolve();
  let next: Promise<void> | null = null;

  async function flushPending(): Promise<void> {
    parts.collect();
    if (pending.size === 0) return;
    const deltas = pending;
    pending = new Map();
    try {
      await parts.metadata.addCounters(deltas);
    } catch (error) {
      for (const [driveId, delta] of deltas) addPending(driveId, delta);
      throw error;
    }
  }

  function startNext(): Promise<void> {
    next = null;
    running = flushPending();
    return running;
  }

  function addPending(driveId: string, delta: DriveCounters): void {
    const sum = pending.get(driveId) ?? NO_COUNTERS;
    pending.set(driveId, {
      readBytes: sum.readBytes + delta.readBytes,
      readRequests: sum.readRequests + delta.readRequests,
      writeBytes: sum.writeBytes + delta.writeBytes,
      writeRequests: sum.writeRequests + delta.writeRequests,
    });
  }

  function add(driveId: string, done: IoActivity): void {
    parts.activity.add(driveId, done);
    addPending(driveId, {
      readBytes: done.read.bytes,
      readRequests: done.read.requests,
      writeBytes: done.write.bytes,
      writeRequests: done.write.requests,
    });
  }

  return {
    add,
    count(driveId, { kind, bytes, seconds }) {
      add(driveId, { ...NO_ACTIVITY, [kind]: { requests: 1, bytes, seconds } });
    },
    async flush() {
      // One after the other: a caller must not overtake a flush that carries what it counted. All that wait share the
      // next one, so that nobody waits for more than two while the database is slow or away.
      next ??= running.then(startNext, startNext);
      await next;
    },
  };
}
