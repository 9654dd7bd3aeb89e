import { GIB } from '../../core/sizes.ts';
import { volumeOfImage } from './image-name.ts';
import type { IoContext } from './librados.ts';
import type { Image, Librbd } from './librbd.ts';
import type { SnapshotCalls } from './snapshots.ts';
import type { TrashCalls } from './trash-calls.ts';

/** A sweep begins with nothing further after this: whoever sweeps has other things to do. */
const SWEEP_MS = 1_000;
/** What is cut off an image at a time: Ceph looks for each of its objects, also where there are none. */
const STEP_BYTES = 4 * GIB;

interface SweptCalls {
  readonly librbd: Pick<Librbd, 'close' | 'resize' | 'sizeOf'>;
  readonly snapshots: Pick<SnapshotCalls, 'list'>;
  readonly trash: Pick<TrashCalls, 'list' | 'open' | 'openCount' | 'remove'>;
}

/** What an image is after a step: to be cut further, to be removed, or to be left as it is. */
type Remainder = 'large' | 'small' | 'wanted';

/**
 * Removes volumes from Ceph's trash, as far as nobody has them open any more and none is a clone of them. Large ones are removed
 * step by step, since all of it at once would take longer than others can wait. Each sweep goes on where the last one has stopped.
 */
export class TrashSweeper {
  readonly #calls: SweptCalls;
  readonly #monotonicMs: () => number;
  #afterId = '';

  constructor(calls: SweptCalls, monotonicMs: () => number) {
    this.#calls = calls;
    this.#monotonicMs = monotonicMs;
  }

  sweep(pool: IoContext): void {
    const ids = this.#calls.trash
      .list(pool)
      .filter(({ name }) => volumeOfImage(name) !== null)
      .map(({ id }) => id)
      .sort();
    const next = [...ids.filter((id) => id > this.#afterId), ...ids.filter((id) => id <= this.#afterId)];
    this.#removeEach(pool, next);
  }

  /** Begins with an image that has just come there. */
  sweepNew(pool: IoContext, id: string): void {
    this.#removeEach(pool, [id]);
  }

  #removeEach(pool: IoContext, ids: readonly string[]): void {
    const endMs = this.#monotonicMs() + SWEEP_MS;
    for (const id of ids) {
      let left = this.#cut(pool, id);
      while (left === 'large') {
        if (this.#monotonicMs() > endMs) return;
        left = this.#cut(pool, id);
      }
      if (left === 'small') this.#calls.trash.remove(pool, id);
      this.#afterId = id;
      if (this.#monotonicMs() > endMs) return;
    }
  }

  #cut(pool: IoContext, id: string): Remainder {
    const { librbd, trash } = this.#calls;
    const image = trash.open(pool, id);
    if (image === null) return 'small';
    try {
      return this.#cutOpen(image);
    } catch (error) {
      // Another node may be at it, and nobody is to be kept from the pool by what is in the trash.
      if (error instanceof Error && 'code' in error) return 'wanted';
      throw error;
    } finally {
      librbd.close(image);
    }
  }

  /** Cuts a step off an image if it is large; what is wanted still stays as it is. */
  #cutOpen(image: Image): Remainder {
    const { librbd, snapshots, trash } = this.#calls;
    if (trash.openCount(image) > 1 || snapshots.list(image).length > 0) return 'wanted';
    const sizeBytes = librbd.sizeOf(image);
    if (sizeBytes <= STEP_BYTES) return 'small';
    librbd.resize(image, sizeBytes - STEP_BYTES);
    return 'large';
  }
}
