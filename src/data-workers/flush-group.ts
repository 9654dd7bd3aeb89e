/**
 * Lets requests that wait for stable storage share one flush. A request is served only by a flush that started after
 * it asked, because only that one is sure to cover what it wrote.
 */
export interface FlushGroup {
  flush(): Promise<void>;
}

/** Makes a group around one drive's flush, which runs at most once at a time. */
export function createFlushGroup(flushOnce: () => Promise<void>): FlushGroup {
  let running: Promise<void> | null = null;
  let next: Promise<void> | null = null;

  function start(): Promise<void> {
    next = null;
    const current = flushOnce();
    running = current;
    const forget = (): void => {
      if (running === current) running = null;
    };
    current.then(forget, forget);
    return current;
  }

  return {
    flush() {
      if (running === null && next === null) return start();
      // Whoever asks while one runs joins the one after it, whether or not the running one succeeds.
      next ??= (running ?? Promise.resolve()).then(start, start);
      return next;
    },
  };
}
