import { systemClock } from '../../runtime/clock.ts';
import { loadSocketCalls } from '../../runtime/socket-calls.ts';
import type { SocketCalls } from '../../runtime/socket-calls.ts';
import type { BlockDevice, DeviceEvents } from '../block-device.ts';
import type { DirectAccess } from '../direct-access.ts';
import { readOnly } from '../layers/read-only.ts';
import type { RbdPoolSpec } from '../pool-spec.ts';
import type { CloneRequest, PoolRoom, StoragePool } from '../storage-pool.ts';
import { isSystemError } from '../system-error.ts';
import { cloneImage } from './image-clone.ts';
import { createImageClients } from './image-clients.ts';
import { imageName, volumeOfImage } from './image-name.ts';
import { loadImageCalls } from './image-io.ts';
import { removeImage } from './image-removal.ts';
import type { RemovalCalls } from './image-removal.ts';
import { ImageRequests } from './image-requests.ts';
import { loadLibrbd } from './librbd.ts';
import { fenceNode } from './node-fence.ts';
import type { RbdConnection } from './rbd-connection.ts';
import { rbdDevice } from './rbd-device.ts';
import type { RbdCalls } from './rbd-device.ts';
import { roomOf } from './rbd-room.ts';
import { loadSnapshotCalls } from './snapshots.ts';
import { loadTrashCalls } from './trash-calls.ts';
import { TrashSweeper } from './trash-sweeper.ts';

/**
 * A pool of RBD images, one a drive, over a connection of the process. Calls that concern an image as a whole are
 * synchronous; while the cluster is away they wait for it.
 */
export function createRbdPool(spec: RbdPoolSpec, connection: RbdConnection): StoragePool {
  return new RbdPool(spec, connection);
}

interface PoolCalls extends RbdCalls, RemovalCalls {
  readonly signals: SocketCalls;
  readonly sweeper: TrashSweeper;
}

function loadCalls(): PoolCalls {
  const images = { librbd: loadLibrbd(), snapshots: loadSnapshotCalls(), trash: loadTrashCalls() };
  return {
    ...images,
    io: loadImageCalls(),
    signals: loadSocketCalls(),
    sweeper: new TrashSweeper(images, systemClock.monotonicMs),
  };
}

class RbdPool implements StoragePool {
  readonly direct: DirectAccess;
  readonly #spec: RbdPoolSpec;
  readonly #connection: RbdConnection;
  #loadedCalls: PoolCalls | null = null;
  #isLookedAt = false;

  constructor(spec: RbdPoolSpec, connection: RbdConnection) {
    this.#spec = spec;
    this.#connection = connection;
    this.direct = createImageClients(spec, connection, () => this.#calls.librbd);
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

  remove(volumeName: string): void {
    const { pool } = this.#connection;
    const trashedId = removeImage(this.#calls, pool, imageName(volumeName));
    if (trashedId !== null) this.#calls.sweeper.sweepNew(pool, trashedId);
  }

  clone(request: CloneRequest): string | null {
    this.remove(request.target);
    return cloneImage(this.#calls, this.#connection.pool, request);
  }

  list(): readonly string[] {
    const names = this.#calls.librbd.list(this.#connection.pool);
    return names.map(volumeOfImage).filter((volumeName) => volumeName !== null);
  }

  room(): PoolRoom {
    const { rados, cluster, pool } = this.#connection;
    // A start waits for the first look.
    if (this.#isLookedAt) this.#calls.sweeper.sweep(pool);
    this.#isLookedAt = true;
    const json = rados.command(cluster, { prefix: 'df', detail: 'detail', format: 'json' });
    return roomOf(json, this.#spec.cephPool);
  }

  fence(nodeId: string): void {
    const { rados, cluster, pool } = this.#connection;
    fenceNode(rados, { cluster, pool }, nodeId);
  }

  get #calls(): PoolCalls {
    this.#loadedCalls ??= loadCalls();
    return this.#loadedCalls;
  }
}
