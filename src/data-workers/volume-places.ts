import { driveOfVolume } from '../core/volume-name.ts';
import type { StoredVolume } from './volume.ts';
import { createWriteTracker } from './write-tracker.ts';

/** Which pool each drive that has moved lies in, who works on it there, and who must wait until it has moved. */
export class VolumePlaces {
  readonly #moved = new Map<string, string>();
  readonly #pauses = new Map<string, Promise<void>>();
  readonly #changes = createWriteTracker();
  readonly #uses = createWriteTracker();

  /** The volume where it is now. */
  current<Volume extends StoredVolume>(volume: Volume): Volume {
    const poolName = this.#moved.get(driveOfVolume(volume.volumeName));
    return poolName === undefined ? volume : { ...volume, poolName };
  }

  /** Marks the volume where it is now as in use until `end` is called, once or more often. */
  use<Volume extends StoredVolume>(volume: Volume): { place: Volume; end: () => void } {
    const place = this.current(volume);
    return { place, end: this.#uses.begin(keyOf(place)) };
  }

  /** Does what changes nothing. */
  async reading<Volume extends StoredVolume, Result>(
    volume: Volume,
    work: (place: Volume) => Promise<Result>,
  ): Promise<Result> {
    const { place, end } = this.use(volume);
    try {
      return await work(place);
    } finally {
      end();
    }
  }

  /** Does what changes the drive, once it may. */
  async changing<Volume extends StoredVolume, Result>(
    volume: Volume,
    work: (place: Volume) => Promise<Result>,
  ): Promise<Result> {
    // Nothing may come between the last look and the mark, not even a turn of the event loop.
    for (let pause = this.pauseOf(volume); pause !== null; pause = this.pauseOf(volume)) await pause;
    const end = this.#changes.begin(driveOfVolume(volume.volumeName));
    try {
      return await this.reading(volume, work);
    } finally {
      end();
    }
  }

  /** What to wait for, and then to look again, while the drive may not be changed; null while it may. */
  pauseOf({ volumeName }: Pick<StoredVolume, 'volumeName'>): Promise<void> | null {
    return this.#pauses.get(driveOfVolume(volumeName)) ?? null;
  }

  /** Has the work done once every change that is under way has ended, and before the next; it says where the drive is then. */
  async relocate(driveId: string, work: () => Promise<string>): Promise<void> {
    if (this.#pauses.has(driveId)) throw new Error(`Drive ${driveId} is being relocated already.`);
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#pauses.set(driveId, promise);
    try {
      await this.#changes.quiesce(driveId);
      this.#moved.set(driveId, await work());
    } finally {
      this.#pauses.delete(driveId);
      resolve();
    }
  }

  /** Returns once nobody uses the volume there. */
  async unused(volume: StoredVolume): Promise<void> {
    await this.#uses.quiesce(keyOf(volume));
  }

  /** Forgets where the drive has moved to, when its volume there has been removed. */
  destroyed({ volumeName, poolName }: StoredVolume): void {
    const driveId = driveOfVolume(volumeName);
    if (this.#moved.get(driveId) === poolName) this.#moved.delete(driveId);
  }
}

function keyOf({ volumeName, poolName }: StoredVolume): string {
  return `${poolName} ${volumeName}`;
}
