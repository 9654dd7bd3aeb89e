/** What happens while things are stopped, for the log. */
export interface LifecycleObserver {
  readonly onStopped: (name: string) => void;
  readonly onStopFailed: (name: string, error: unknown) => void;
}

/** Owns what was started, and stops it in the reverse order. */
export interface Lifecycle extends AsyncDisposable {
  /** Takes over something that has been started. After `stop` has begun it is stopped at once. */
  own(name: string, stop: () => void | Promise<void>): void;
  /** Stops everything, the last first, one after the other, also when one of them fails; repeated calls wait for the first. */
  stop(): Promise<void>;
}

/** An owner with nothing in it yet. Meant for `await using`, so that a start that fails half-way is undone. */
export function createLifecycle(observer: LifecycleObserver): Lifecycle {
  const owned: { name: string; stop: () => void | Promise<void> }[] = [];
  let stopping: Promise<void> | null = null;

  async function stopOwned(): Promise<void> {
    for (let item = owned.pop(); item !== undefined; item = owned.pop()) {
      try {
        await item.stop();
        observer.onStopped(item.name);
      } catch (error) {
        observer.onStopFailed(item.name, error);
      }
    }
  }

  async function stop(): Promise<void> {
    // What is handed over while the others stop is stopped by the same loop, or by a new one when that has ended.
    stopping = (stopping ?? Promise.resolve()).then(stopOwned);
    await stopping;
  }

  return {
    own(name, stopItem) {
      owned.push({ name, stop: stopItem });
      if (stopping !== null) void stop();
    },
    stop,
    [Symbol.asyncDispose]: stop,
  };
}
