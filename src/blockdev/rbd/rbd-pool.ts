import { loadSocketCalls } from '../../runtime/socket-calls.ts';
import type { SocketCalls } from '../../runtime/socket-calls.ts';
import type { BlockDevice, DeviceEvents } from '../block-device.ts';
import { readOnly } from '../layers/read-only.ts';
import type { RbdPoolSpec } from '../pool-spec.ts';
import type { CloneRequest, PoolRoom, StoragePool } from '../storage-pool.ts';
import { isSystemError } from '../system-error.ts';
import { volumeOfImage, imageName } from './image-name.ts';
import { loadImageCalls } from './image-io.ts';
import { ImageRequests } from './image-requests.ts';
import { loadLibrbd } from './librbd.ts';
import { fenceNode } from './node-fence.ts';
import type { RbdConnection } from './rbd-connection.ts';
import { rbdDevice } from './rbd-device.ts';
import type { RbdCalls } from './rbd-device.ts';
import { roomOf } from './rbd-room.ts';

/**
 * A pool of RBD images, one a drive, over a connection of the process. Calls that concern an image as a whole are
 * synchronous; while the cluster is away they wait for it.
 */
export function createRbdPool(spec: RbdPoolSpec, connection: RbdConnection): StoragePool {
  return new RbdPool(spec, connection);
}

interface PoolCalls extends RbdCalls {
  readonly signals: SocketCalls;
}

class RbdPool implements StoragePool {
  readonly #spec: RbdPoolSpec;
  readonly #connection: RbdConnection;
  #loadedCalls: PoolCalls | null = null;

  constructor(spec: RbdPoolSpec, connection: RbdConnection) {
    this.#spec = spec;
    this.#connection = connection;
  }

  create(volumeName: string, sizeBytes: number): void {
    const { librbd } = this.#calls;
    const { pool } = this.#connection;
    const name = imageName(volumeName);
    try {
      librbd.create(pool, name, sizeBytes);
    } catch (error) {
      if (!isSystemError(error, 'EEXIST')) throw error;
      this.remove(volumeName);
      librbd.create(pool, name, sizeBytes);
    }
  }

  open(
    volumeName: string,
    access: 'read-only' | 'read-write',
    events: DeviceEvents | null = null,
  ): BlockDevice {
    const calls = this.#calls;
    const image = calls.librbd.open(this.#connection.pool, imageName(volumeName), access);
    const requests = new ImageRequests(image, { ...calls, events });
    try {
      const device = rbdDevice(image, requests, calls);
      return access === 'read-only' ? readOnly(device) : device;
    } catch (error) {
      calls.librbd.close(image);
      requests.close();
      throw error;
    }
  }

  /** An image that a node which has died has open still is put into Ceph's trash; `sweep` removes it later. */
  remove(volumeName: string): void {
    const { librbd } = this.#calls;
    const { pool } = this.#connection;
    const name = imageName(volumeName);
    try {
      librbd.remove(pool, name);
    } catch (error) {
      if (isSystemError(error, 'ENOENT')) return;
      if (!isSystemError(error, 'EBUSY')) throw error;
      librbd.moveToTrash(pool, name);
    }
  }

  clone({ target }: CloneRequest): string {
    this.remove(target);
    return 'images in Ceph do not share blocks';
  }

  list(): readonly string[] {
    const names = this.#calls.librbd.list(this.#connection.pool);
    return names.map(volumeOfImage).filter((volumeName) => volumeName !== null);
  }

  room(): PoolRoom {
    const { rados, cluster } = this.#connection;
    this.#sweep();
    const json = rados.command(cluster, { prefix: 'df', detail: 'detail', format: 'json' });
    return roomOf(json, this.#spec.cephPool);
  }

  fence(nodeId: string): void {
    const { rados, cluster, pool } = this.#connection;
    fenceNode(rados, { cluster, pool }, nodeId);
  }

  /** Removes what `remove` had to leave, as far as it can be now: nobody is kept from the pool by what is in the trash. */
  #sweep(): void {
    const { librbd } = this.#calls;
    const { pool } = this.#connection;
    for (const { id, name } of librbd.listTrash(pool)) {
      if (volumeOfImage(name) !== null) librbd.removeFromTrash(pool, id);
    }
  }

  get #calls(): PoolCalls {
    this.#loadedCalls ??= { librbd: loadLibrbd(), io: loadImageCalls(), signals: loadSocketCalls() };
    return this.#loadedCalls;
  }
}
