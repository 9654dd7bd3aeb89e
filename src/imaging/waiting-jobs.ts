/** Jobs that cannot be worked on for now: they are passed over until their time has come. */
export interface WaitingJobs {
  add(jobId: string): void;
  /** Those whose time has not come yet. */
  list(): readonly string[];
  /** Whether there are so many that nothing more should be tried before some may be tried again. */
  isFull(): boolean;
}

/** All of them are named in a query. */
const MAX_WAITING = 1000;

export function createWaitingJobs(options: { waitMs: number; now: () => number }): WaitingJobs {
  const retryAtMs = new Map<string, number>();
  function expire(): void {
    const nowMs = options.now();
    for (const [jobId, atMs] of retryAtMs) if (atMs <= nowMs) retryAtMs.delete(jobId);
  }
  return {
    add(jobId) {
      retryAtMs.set(jobId, options.now() + options.waitMs);
    },
    list() {
      expire();
      return [...retryAtMs.keys()];
    },
    isFull() {
      expire();
      return retryAtMs.size >= MAX_WAITING;
    },
  };
}
