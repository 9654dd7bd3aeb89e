import type { DataThreadClient } from './data-thread-client.ts';

/**
 * The data threads of one pool. They are the pool's own, so that one whose disk has stalled holds up nobody else;
 * more are started only while all that there are have work.
 */
export interface DataThreadGroup {
  /** Calls that have not been answered: for the threads of connections, how many they serve. */
  readonly pendingCalls: number;
  /** The thread that is least busy. */
  leastBusy(): DataThreadClient;
  /** How long the oldest unanswered call has waited, in milliseconds; 0 when none waits. */
  stalledMs(nowMs: number): number;
  /** Closes the volume wherever it is open. */
  closeVolume(driveId: string): Promise<void>;
  /**
   * Has every change of the drive marked in a `ChangeMap`, in these threads and those that are started later; null ends
   * that. When it returns, whatever was changed before and not marked has been written.
   */
  track(driveId: string, changes: SharedArrayBuffer | null): Promise<void>;
  /** Closes what copying has open of the volume. */
  closeStored(driveId: string): Promise<void>;
  /** Closes all volumes; they are opened again as they are needed. */
  closeVolumes(): Promise<void>;
  stop(): Promise<void>;
}

export function createDataThreadGroup(options: {
  start: () => DataThreadClient;
  maxThreads: number;
}): DataThreadGroup {
  const threads: DataThreadClient[] = [];
  const tracked = new Map<string, SharedArrayBuffer>();

  function startThread(): DataThreadClient {
    const thread = options.start();
    threads.push(thread);
    // Done before anything else that it is asked for.
    for (const [driveId, changes] of tracked) void thread.call('track', { driveId, changes });
    return thread;
  }

  return {
    get pendingCalls() {
      return threads.reduce((sum, thread) => sum + thread.pendingCalls, 0);
    },
    leastBusy() {
      const idle = threads.find((thread) => thread.pendingCalls === 0);
      if (idle !== undefined) return idle;
      if (threads.length < options.maxThreads) return startThread();
      return threads.reduce((least, thread) => (thread.pendingCalls < least.pendingCalls ? thread : least));
    },
    stalledMs(nowMs) {
      const since = threads.map((thread) => thread.waitingSinceMs).filter((atMs) => atMs !== null);
      return since.length === 0 ? 0 : nowMs - Math.min(...since);
    },
    async closeVolume(driveId) {
      await Promise.all(threads.map((thread) => thread.closeVolume(driveId)));
    },
    async track(driveId, changes) {
      if (changes === null) tracked.delete(driveId);
      else tracked.set(driveId, changes);
      await Promise.all(threads.map((thread) => thread.call('track', { driveId, changes })));
    },
    async closeStored(driveId) {
      await Promise.all(threads.map((thread) => thread.call('closeStored', { driveId })));
    },
    async closeVolumes() {
      await Promise.all(threads.map((thread) => thread.closeVolumes()));
    },
    async stop() {
      await Promise.all(threads.map((thread) => thread.stop()));
    },
  };
}
