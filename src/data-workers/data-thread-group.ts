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
  closeVolume(volumeName: string): Promise<void>;
  /**
   * Has every change of the drive marked in a `ChangeMap`, in these threads and those that are started later; null ends
   * that. When it returns, whatever was changed before and not marked has been written.
   */
  track(volumeName: string, changes: SharedArrayBuffer | null): Promise<void>;
  /** Closes what copying has open of the volume. */
  closeStored(volumeName: string): Promise<void>;
  /** Closes those of the volumes that are open; they are opened again as they are needed. */
  closeVolumes(which: (volumeName: string) => boolean): Promise<void>;
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
    for (const [volumeName, changes] of tracked) void thread.call('track', { volumeName, changes });
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
    async closeVolume(volumeName) {
      await Promise.all(threads.map((thread) => thread.closeVolume(volumeName)));
    },
    async track(volumeName, changes) {
      if (changes === null) tracked.delete(volumeName);
      else tracked.set(volumeName, changes);
      await Promise.all(threads.map((thread) => thread.call('track', { volumeName, changes })));
    },
    async closeStored(volumeName) {
      await Promise.all(threads.map((thread) => thread.call('closeStored', { volumeName })));
    },
    async closeVolumes(which) {
      await Promise.all(threads.map((thread) => thread.closeVolumes(which)));
    },
    async stop() {
      await Promise.all(threads.map((thread) => thread.stop()));
    },
  };
}
