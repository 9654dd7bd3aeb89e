import type { BlockDevice, DeviceEvents, Maybe } from './block-device.ts';
import type { DirectAccess } from './direct-access.ts';

/** Room in a pool, in bytes, as its file system or engine reports it. */
export interface PoolRoom {
  readonly totalBytes: number;
  readonly freeBytes: number;
}

/** The volume that is to be made of another one. */
export interface CloneRequest {
  readonly source: string;
  readonly target: string;
  readonly sizeBytes: number;
}

/**
 * Makes, opens, clones and removes the devices of one pool. A volume is named as `volume-name.ts` says. Everything is
 * durable when it returns (also the directory entry), and every call can be repeated after a crash.
 *
 * Errors: those of the operating system, unchanged.
 */
export interface StoragePool {
  /** Makes an empty volume of this size that reads as zeros, replacing what a crash may have left of the name. */
  create(volumeName: string, sizeBytes: number): Maybe<void>;
  /** With a loop, a device over a network works on many requests at a time: it answers with promises that the loop settles. */
  open(volumeName: string, access: 'read-only' | 'read-write', events?: DeviceEvents): Maybe<BlockDevice>;
  /** Removes the volume; nothing happens when there is none. */
  remove(volumeName: string): Maybe<void>;
  /**
   * Makes a volume of this size, at least that of the source, by sharing the source's blocks: its first bytes are those of
   * the source, and the rest reads as zeros. Replaces what a crash may have left of the name.
   *
   * @returns why this pool cannot share blocks, and then there is no such volume; null when it is made
   */
  clone(request: CloneRequest): Maybe<string | null>;
  /** The names of the volumes that there are, in no order. */
  list(): Maybe<readonly string[]>;
  room(): Maybe<PoolRoom>;
  /**
   * Keeps another node of the installation, which is taken to be gone, from changing anything in the pool from now on. Where
   * nodes share no pool there is nothing to do.
   */
  fence?(nodeId: string): Maybe<void>;
  /** For programs that reach volumes past Drivebay, where the engine is a cluster of its own. */
  readonly direct?: DirectAccess;
}
