import type { ChangeTracker } from '../blockdev/layers/change-tracking.ts';
import { ChangeMap } from './change-map.ts';

/** The drives of one thread whose changes are marked at present, as those that are being moved are. */
export class TrackedChanges {
  readonly #maps = new Map<string, ChangeMap>();

  /** Marks the changes of a drive in this memory from now on; null ends that. */
  track(volumeName: string, changes: SharedArrayBuffer | null): null {
    if (changes === null) this.#maps.delete(volumeName);
    else this.#maps.set(volumeName, new ChangeMap(changes));
    return null;
  }

  /** What an opening of the drive marks its changes with, whether or not anybody asks for that yet. */
  trackerOf(volumeName: string): ChangeTracker {
    const maps = this.#maps;
    return {
      mark(range) {
        if (maps.size > 0) maps.get(volumeName)?.mark(range);
      },
    };
  }
}
