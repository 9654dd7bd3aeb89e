import { IO_KINDS } from '../data-workers/connection-stats.ts';
import type { IoKind, KindStats } from '../data-workers/connection-stats.ts';
import { MAX_ACTIVE_DRIVES } from './limits.ts';

/** What was done to a drive: for each kind of request how many, how many bytes, and how long they took together. */
export type IoActivity = Readonly<Record<IoKind, Pick<KindStats, 'requests' | 'bytes' | 'seconds'>>>;

const NOTHING = { requests: 0, bytes: 0, seconds: 0 };
export const NO_ACTIVITY: IoActivity = { read: NOTHING, write: NOTHING, flush: NOTHING, other: NOTHING };

/**
 * What was done to drives since this process started. Only the drives used last are remembered: one that was forgotten
 * begins anew, which whoever compares two looks sees by figures that went down.
 */
export class DriveActivity {
  /** The drive that was used longest ago first. */
  readonly #byDrive = new Map<string, IoActivity>();

  add(driveId: string, done: IoActivity): void {
    if (IO_KINDS.every((kind) => done[kind].requests === 0)) return;
    const sum = addActivity(this.#byDrive.get(driveId) ?? NO_ACTIVITY, done);
    this.#byDrive.delete(driveId);
    this.#byDrive.set(driveId, sum);
    const [oldest] = this.#byDrive.keys();
    if (this.#byDrive.size > MAX_ACTIVE_DRIVES && oldest !== undefined) this.#byDrive.delete(oldest);
  }

  /** The drives used last, as they are now. */
  recent(): ReadonlyMap<string, IoActivity> {
    return new Map(this.#byDrive);
  }
}

function addActivity(sum: IoActivity, done: IoActivity): IoActivity {
  const kinds = IO_KINDS.map((kind) => {
    const { requests, bytes, seconds } = sum[kind];
    const more = done[kind];
    const added = {
      requests: requests + more.requests,
      bytes: bytes + more.bytes,
      seconds: seconds + more.seconds,
    };
    return [kind, added] as const;
  });
  return Object.fromEntries(kinds) as IoActivity;
}
