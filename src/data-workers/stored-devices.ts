import type { BlockDevice } from '../blockdev/block-device.ts';
import type { StoragePool } from '../blockdev/storage-pool.ts';

type Access = 'read-only' | 'read-write';

/** The volumes of a pool that one thread has open as they are stored, for copying: to open one anew for each piece takes time. */
export class StoredDevices {
  readonly #pool: StoragePool;
  readonly #open = new Map<string, BlockDevice>();

  constructor(pool: StoragePool) {
    this.#pool = pool;
  }

  /** Works with a volume, which stays open until `close`. */
  async use<Result>(
    volumeName: string,
    access: Access,
    work: (device: BlockDevice) => Promise<Result>,
  ): Promise<Result> {
    const key = keyOf(volumeName, access);
    const device = this.#open.get(key) ?? (await this.#pool.open(volumeName, access));
    this.#open.set(key, device);
    return await work(device);
  }

  /** Makes an empty volume in place of any that there is. */
  async create(volumeName: string, sizeBytes: number): Promise<void> {
    await this.close(volumeName);
    await this.#pool.create(volumeName, sizeBytes);
  }

  async close(volumeName: string): Promise<void> {
    for (const access of ['read-only', 'read-write'] as const) {
      const key = keyOf(volumeName, access);
      const device = this.#open.get(key);
      this.#open.delete(key);
      await device?.close();
    }
  }
}

function keyOf(volumeName: string, access: Access): string {
  return `${access} ${volumeName}`;
}
