import type { Maybe } from '../block-device.ts';
import { chain, ensuring } from '../maybe.ts';

/** What the lock of a drive takes in shared memory. */
export const DRIVE_LOCK_BYTES = 16;

// Words of the lock. HOLDERS: how many share it, or -1 while one has it alone. WRITERS: how many wait to have it
// alone; nobody begins to share meanwhile, so that they get their turn. TURN: changes whenever waiting may be over.
const HOLDERS = 0;
const WRITERS = 1;
const TURN = 2;

/**
 * A lock that many may share or one may have alone, over memory that all threads see. It is not reentrant, and it is
 * not given back when a thread dies: then the process must end, as it does for every data thread that fails.
 */
export interface DriveLock {
  /** Runs the work while nobody has the lock alone. */
  shared<Result>(work: () => Maybe<Result>): Maybe<Result>;
  /** Runs the work while nobody else has the lock at all. */
  exclusive<Result>(work: () => Maybe<Result>): Maybe<Result>;
}

/**
 * How to wait for the lock. `blocking`: the thread stops, which is cheapest, and right where the work under the lock
 * never waits for this thread's event loop. `event-loop`: with a promise; for devices that answer with promises. A
 * function: the same in a thread with a loop of its own, which looks again after each pause.
 */
export type LockWaiting = 'blocking' | 'event-loop' | LockPause;

/** Resolves a moment later. */
export type LockPause = () => Promise<void>;

/** The lock that lives in `memory`, of `DRIVE_LOCK_BYTES` zero bytes at first. */
export function createDriveLock(memory: SharedArrayBuffer, waiting: LockWaiting = 'blocking'): DriveLock {
  const words = new Int32Array(memory, 0, DRIVE_LOCK_BYTES / Int32Array.BYTES_PER_ELEMENT);

  /** Tries until it succeeds. The turn is read before each try, so that no release can be missed. */
  function acquire(tryOnce: () => boolean): Maybe<void> {
    for (;;) {
      const turn = Atomics.load(words, TURN);
      if (tryOnce()) return undefined;
      if (typeof waiting === 'function') return waiting().then(() => acquire(tryOnce));
      if (waiting === 'event-loop') {
        const { value } = Atomics.waitAsync(words, TURN, turn);
        if (value instanceof Promise) return value.then(() => acquire(tryOnce));
      } else {
        Atomics.wait(words, TURN, turn);
      }
    }
  }

  function wakeAll(): void {
    Atomics.add(words, TURN, 1);
    Atomics.notify(words, TURN);
  }

  function tryShared(): boolean {
    for (;;) {
      const holders = Atomics.load(words, HOLDERS);
      if (holders < 0 || Atomics.load(words, WRITERS) > 0) return false;
      if (Atomics.compareExchange(words, HOLDERS, holders, holders + 1) === holders) return true;
    }
  }

  function tryExclusive(): boolean {
    return Atomics.compareExchange(words, HOLDERS, 0, -1) === 0;
  }

  function releaseShared(): void {
    // Only those that want it alone wait for the last holder; a writer that comes later finds it free.
    if (Atomics.sub(words, HOLDERS, 1) === 1 && Atomics.load(words, WRITERS) > 0) wakeAll();
  }

  function acquireExclusive(): Maybe<void> {
    Atomics.add(words, WRITERS, 1);
    return ensuring(
      () => acquire(tryExclusive),
      () => {
        Atomics.sub(words, WRITERS, 1);
      },
    );
  }

  function releaseExclusive(): void {
    Atomics.store(words, HOLDERS, 0);
    wakeAll();
  }

  return {
    shared: (work) => chain(acquire(tryShared), () => ensuring(work, releaseShared)),
    exclusive: (work) => chain(acquireExclusive(), () => ensuring(work, releaseExclusive)),
  };
}
