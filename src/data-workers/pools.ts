import type { PoolView } from '../core/placement.ts';
import type { DataThreadGroup } from './data-thread-group.ts';
import type { PoolSpec } from '../blockdev/pool-spec.ts';
import type { PoolStatus } from './volume.ts';
import type { Tier } from '../core/drive.ts';

/** A pool as the configuration describes it. */
export interface PoolConfig {
  readonly spec: PoolSpec;
  readonly tier: Tier | null;
  readonly domain: string;
  /** Room that stays free so that what is running can finish: in bytes of a pool of this many bytes. */
  readonly reserveBytes: (totalBytes: number) => number;
}

/** A write let through; `done` must be called once with the bytes that it may have taken. */
export interface WriteAdmission {
  /** Whether only space that is taken already may be written. */
  readonly isPoolLow: boolean;
  readonly done: (writtenBytes: number) => void;
}

/** The configured pools: their threads, whether they can be used, and who is let in while there is room. */
export interface Pools {
  readonly configs: readonly PoolConfig[];
  /** Throws DriveError system when the pool is not configured or inactive. */
  threadsOf(poolName: string): DataThreadGroup;
  /** The threads of the pool that serve NBD connections. Throws like `threadsOf`. */
  connectionThreadsOf(poolName: string): DataThreadGroup;
  /** Has every change of a drive marked by the threads of its pool; see `DataThreadGroup.track`. */
  track(volume: { volumeName: string; poolName: string }, changes: SharedArrayBuffer | null): Promise<void>;
  /** A word that is 1 while the pool has no room but what its reserve is for; for threads to look at. */
  lowWordOf(poolName: string): SharedArrayBuffer;
  statusOf(poolName: string): PoolStatus;
  /** Requests that the pool's threads have not answered yet. */
  queueDepth(poolName: string): number;
  /** Their room as of the last look. */
  views(): readonly PoolView[];
  /** Counts the bytes against the pool's room until the function it returns is called. Throws DriveError full when there is not enough. */
  admit(poolName: string, sizeBytes: number): Promise<(writtenBytes: number) => void>;
  /** Like `admit`, but lets a write through that may turn out to need no room. */
  admitWrite(poolName: string, sizeBytes: number): Promise<WriteAdmission>;
  /** The same for a pool that has room as far as is known, without a look at it; null for another. */
  admitKnown(poolName: string, sizeBytes: number): ((writtenBytes: number) => void) | null;
  /** Where the volume is, for administrators and other tools. */
  volumeLocation(volume: { volumeName: string; poolName: string }): string;
  /**
   * Keeps another node, which is taken to be gone, from changing anything in the pool from now on; see
   * `StoragePool.fence`. To be done before anybody is given what that node may still be writing to.
   */
  fence(poolName: string, nodeId: string): Promise<void>;
  /** Looks at every pool now; also done every few seconds. */
  refresh(): Promise<void>;
  stop(): Promise<void>;
}
