import { NO_COUNTERS } from '../../core/drive.ts';
import type { DriveCounters } from '../../core/drive.ts';

export type CounterDeltas = ReadonlyMap<string, DriveCounters>;

/** Whether a transaction, by the number that the database gave it, was committed after all. */
export type WasCommitted = (transactionId: string) => Promise<boolean>;

/**
 * Keeps counters exact when a commit of them was lost sight of. Whoever counts gives what was refused once more, with
 * what came since; what turns out to have been added by then is taken off here.
 */
export class DoubtfulCounters {
  #doubtful: { transactionId: string; deltas: CounterDeltas } | null = null;
  #added: CounterDeltas = new Map();

  /** What of these deltas is not in the database yet. Called in the transaction that adds it. */
  async withoutAdded(deltas: CounterDeltas, wasCommitted: WasCommitted): Promise<CounterDeltas> {
    if (this.#doubtful !== null) {
      if (await wasCommitted(this.#doubtful.transactionId))
        this.#added = sum(this.#added, this.#doubtful.deltas, 1);
      this.#doubtful = null;
    }
    return sum(deltas, this.#added, -1);
  }

  /** The transaction was committed: nothing of it will be given again. */
  committed(): void {
    this.#added = new Map();
  }

  /** It is not known whether the transaction was committed. */
  lostSightOf(transactionId: string, deltas: CounterDeltas): void {
    this.#doubtful = { transactionId, deltas };
  }
}

function sum(deltas: CounterDeltas, others: CounterDeltas, sign: 1 | -1): CounterDeltas {
  const sums = new Map(deltas);
  for (const [driveId, other] of others) {
    const delta = sums.get(driveId) ?? NO_COUNTERS;
    sums.set(driveId, {
      readBytes: delta.readBytes + sign * other.readBytes,
      readRequests: delta.readRequests + sign * other.readRequests,
      writeBytes: delta.writeBytes + sign * other.writeBytes,
      writeRequests: delta.writeRequests + sign * other.writeRequests,
    });
  }
  return sums;
}
