import type { Maybe } from '../blockdev/block-device.ts';

interface Closable {
  close(): Maybe<void>;
}

interface OpenVolume<Volume> {
  readonly volume: Volume;
  /** Work that goes on while the thread does something else. */
  uses: number;
  isClosed: boolean;
}

/**
 * The volumes that a data thread has open. One that is closed while work on it waits for a client stays open for that
 * work: its descriptor's number would soon be another drive's.
 */
export class OpenVolumes<Volume extends Closable> {
  readonly #volumes = new Map<string, OpenVolume<Volume>>();

  /** Takes over a volume, in place of an older opening. */
  async put(volumeName: string, volume: Volume): Promise<void> {
    await this.close(volumeName);
    this.#volumes.set(volumeName, { volume, uses: 0, isClosed: false });
  }

  async use<Result>(volumeName: string, work: (volume: Volume) => Promise<Result>): Promise<Result> {
    const open = this.#volumes.get(volumeName);
    if (open === undefined) throw new Error(`Volume ${volumeName} is not open in this thread.`);
    open.uses += 1;
    try {
      return await work(open.volume);
    } finally {
      open.uses -= 1;
      await closeUnused(open);
    }
  }

  async close(volumeName: string): Promise<void> {
    const open = this.#volumes.get(volumeName);
    if (open === undefined) return;
    this.#volumes.delete(volumeName);
    open.isClosed = true;
    await closeUnused(open);
  }
}

async function closeUnused(open: OpenVolume<Closable>): Promise<void> {
  if (open.isClosed && open.uses === 0) await open.volume.close();
}
