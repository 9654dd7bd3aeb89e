import { ImagingStopped } from './engine-hooks.ts';

/**
 * What the main thread and the threads of one job share without messages: whether the job may go on, until when its
 * lease lets it write, and how much it has done. Threads look at it before every write.
 */
export interface JobControl {
  readonly shared: SharedArrayBuffer;
  stop(): void;
  /**
   * Lets the job write for nine tenths of its lease, from a moment of `process.hrtime`, the monotonic clock that all
   * threads share: the rest is for the clocks of nodes, which do not quite agree on when it ends.
   */
  extend(leaseMs: number, fromNs: bigint): void;
  /** Throws ImagingStopped once the job was stopped or its lease has run out. */
  checkRunning(): void;
  addDone(lengthBytes: number): void;
  doneBytes(): number;
}

const RUNNING = 0n;
const STATE = 0;
const DEADLINE_NS = 1;
const DONE = 2;

/** Makes the control of a new job, or looks at that of a job elsewhere. */
export function createJobControl(shared: SharedArrayBuffer = new SharedArrayBuffer(24)): JobControl {
  const words = new BigInt64Array(shared);
  return {
    shared,
    stop: () => {
      Atomics.store(words, STATE, 1n);
    },
    extend: (leaseMs, fromNs) => {
      Atomics.store(words, DEADLINE_NS, fromNs + BigInt(leaseMs) * 900_000n);
    },
    checkRunning: () => {
      const isStopped = Atomics.load(words, STATE) !== RUNNING;
      if (isStopped || process.hrtime.bigint() > Atomics.load(words, DEADLINE_NS)) throw new ImagingStopped();
    },
    addDone: (lengthBytes) => {
      Atomics.add(words, DONE, BigInt(lengthBytes));
    },
    doneBytes: () => Number(Atomics.load(words, DONE)),
  };
}
