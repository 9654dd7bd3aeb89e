import type { BlockDevice, DeviceEvents, Maybe } from './block-device.ts';

/** Room in a pool, in bytes, as its file system or engine reports it. */
export interface PoolRoom {
  readonly totalBytes: number;
  readonly freeBytes: number;
}

/**
 * Makes, opens, clones and removes the devices of one pool. A volume is named by its drive's UUID. Everything is
 * durable when it returns (also the directory entry), and every call can be repeated after a crash.
 *
 * Errors: those of the operating system, unchanged.
 */
export interface StoragePool {
  /** Makes an empty volume of this size that reads as zeros, replacing what a crash may have left of the name. */
  create(driveId: string, sizeBytes: number): Maybe<void>;
  /** With a loop, a device over a network works on many requests at a time: it answers with promises that the loop settles. */
  open(driveId: string, access: 'read-only' | 'read-write', events?: DeviceEvents): Maybe<BlockDevice>;
  /** Removes the volume; nothing happens when there is none. */
  remove(driveId: string): Maybe<void>;
  /**
   * Makes the target's first bytes those of the source by sharing its blocks, and the rest of the target read as zeros.
   * The target keeps its size, which is at least that of the source.
   *
   * @returns false, with nothing changed, when this pool cannot share blocks
   */
  clone(request: { sourceDriveId: string; targetDriveId: string }): Maybe<boolean>;
  /** The UUIDs of the volumes that there are, in no order. */
  list(): Maybe<readonly string[]>;
  room(): Maybe<PoolRoom>;
  /**
   * Keeps another node of the installation, which is taken to be gone, from changing anything in the pool from now on. Where
   * nodes share no pool there is nothing to do.
   */
  fence?(nodeId: string): Maybe<void>;
}
