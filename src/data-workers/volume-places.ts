import { driveOfVolume } from '../core/volume-name.ts';
import type { StoredVolume } from './volume.ts';
import { createWriteTracker } from './write-tracker.ts';

/** Where a drive has moved to, and in which life of the process: what is let through in a later one knows of it. */
interface Moved {
  readonly poolName: string;
  readonly life: number;
}

/** Which pool each drive that has moved lies in, who works on it there, and who must wait until it has moved. */
export class VolumePlaces {
  readonly #life: () => number;
  readonly #moved = new Map<string, Moved>();
  readonly #pauses = new Map<string, Promise<void>>();
  readonly #changes = createWriteTracker();
  readonly #uses = createWriteTracker();

  /** @param life in which life of the process it is; see `poolLife` */
  constructor(life: () => number) {
    this.#life = life;
  }

  /**
   * The volume where it is now, for who has looked it up in that life. When a later one has begun, other nodes may have moved
   * the drive on, but who looked it up in there has seen that.
   */
  current<Volume extends StoredVolume>(volume: Volume, life = this.#life()): Volume {
    const moved = this.#moved.get(driveOfVolume(volume.volumeName));
    return moved === undefined || life > moved.life ? volume : { ...volume, poolName: moved.poolName };
  }

  /** Marks the volume where it is now as in use until `end` is called, once or more often. */
  use<Volume extends StoredVolume>(volume: Volume, life?: number): { place: Volume; end: () => void } {
    const place = this.current(volume, life);
    return { place, end: this.#uses.begin(keyOf(place)) };
  }

  /** Does what changes nothing. */
  async reading<Volume extends StoredVolume, Result>(
    volume: Volume,
    work: (place: Volume) => Promise<Result>,
    life?: number,
  ): Promise<Result> {
    const { place, end } = this.use(volume, life);
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
    life?: number,
  ): Promise<Result> {
    // Nothing may come between the last look and the mark, not even a turn of the event loop.
    for (let pause = this.pauseOf(volume); pause !== null; pause = this.pauseOf(volume)) await pause;
    const end = this.#changes.begin(driveOfVolume(volume.volumeName));
    try {
      return await this.reading(volume, work, life);
    } finally {
      end();
    }
  }

  /** What to wait for, and then to look again, while the drive may not be changed; null while it may. */
  pauseOf({ volumeName }: Pick<StoredVolume, 'volumeName'>): Promise<void> | null {
    return this.#pauses.get(driveOfVolume(volumeName)) ?? null;
  }

  /**
   * Has the work done once every change that is under way has ended, and before the next; it says where the drive has moved to,
   * or null when it has not.
   */
  async relocate(driveId: string, work: () => Promise<string | null>): Promise<void> {
    if (this.#pauses.has(driveId)) throw new Error(`Drive ${driveId} is being relocated already.`);
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#pauses.set(driveId, promise);
    try {
      await this.#changes.quiesce(driveId);
      const poolName = await work();
      if (poolName !== null) this.#moved.set(driveId, { poolName, life: this.#life() });
    } finally {
      this.#pauses.delete(driveId);
      resolve();
    }
  }

  /** Returns once nobody uses the volume there. */
  async unused(volume: StoredVolume): Promise<void> {
    await this.#uses.quiesce(keyOf(volume));
  }

  /** Forgets where the drive has moved to: whoever looks it up from now on finds it where it is. */
  forget(driveId: string): void {
    this.#moved.delete(driveId);
  }

  /** Forgets where the drive has moved to, when its volume there has been removed. */
  destroyed({ volumeName, poolName }: StoredVolume): void {
    const driveId = driveOfVolume(volumeName);
    if (this.#moved.get(driveId)?.poolName === poolName) this.#moved.delete(driveId);
  }
}

function keyOf({ volumeName, poolName }: StoredVolume): string {
  return `${poolName} ${volumeName}`;
}
