import type { ImagingThreadClient } from './imaging-thread-client.ts';

/** Threads lent to jobs. They are started when a job needs them and end when nobody has needed them for a while. */
export interface ImagingThreads {
  take(): ImagingThreadClient;
  /** Takes a thread back, with nothing open in it. */
  giveBack(thread: ImagingThreadClient): void;
  stop(): Promise<void>;
}

export function createImagingThreads(options: {
  start: () => ImagingThreadClient;
  idleMs: number;
}): ImagingThreads {
  const idle = new Map<ImagingThreadClient, NodeJS.Timeout>();
  const lent = new Set<ImagingThreadClient>();
  return {
    take() {
      for (const [thread, timer] of idle) {
        clearTimeout(timer);
        idle.delete(thread);
        if (!thread.isAlive) continue;
        lent.add(thread);
        return thread;
      }
      const thread = options.start();
      lent.add(thread);
      return thread;
    },
    giveBack(thread) {
      lent.delete(thread);
      if (!thread.isAlive) return;
      const timer = setTimeout(() => {
        idle.delete(thread);
        void thread.stop();
      }, options.idleMs);
      timer.unref();
      idle.set(thread, timer);
    },
    async stop() {
      for (const timer of idle.values()) clearTimeout(timer);
      const all = [...idle.keys(), ...lent];
      idle.clear();
      lent.clear();
      await Promise.all(all.map((thread) => thread.stop()));
    },
  };
}
