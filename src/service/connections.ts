import type { DriveLimits } from '../core/drive-limits.ts';
import type { AttachedConnection } from '../data-workers/volumes.ts';

/** Connections of one server to a drive, all under the same claim. */
export interface OpenConnections {
  readonly serverId: string;
  readonly epoch: number;
  /** How many there are, at least 1. */
  readonly connections: number;
  /** When the first of them was made. */
  readonly sinceMs: number;
}

/** Whose connection it is. */
export interface ConnectionOwner {
  readonly driveId: string;
  readonly poolName: string;
  readonly serverId: string;
  readonly epoch: number;
}

/** A connection that `cut` knows of. */
export interface RegisteredConnection {
  /** The drive's budget, which all its connections share, and this connection's figures. */
  readonly limit: SharedArrayBuffer;
  readonly stats: SharedArrayBuffer;
  /** Whether it was cut; then it must not be attached any more. */
  readonly isCut: boolean;
  /** Tells what ends it. */
  attached(connection: AttachedConnection): void;
  /** It has ended, or never began. */
  close(): void;
}

/** The connections of servers to their drives, wherever they are kept. */
export interface Connections {
  /** Takes note of a connection that is about to be served. */
  register(owner: ConnectionOwner, limits: DriveLimits): RegisteredConnection;
  /**
   * Ends all connections of this drive that are not of one of these live claims, and returns when none of them can
   * change a byte any more, also with requests in flight. One that was registered before the call and belongs to none
   * of them is ended, however new it is. Never rejects: what cannot be ended in order is ended without.
   */
  cut(driveId: string, keep: readonly { serverId: string; epoch: number }[]): Promise<void>;
  /** Ends all connections of the drives in this pool, like `cut`. */
  cutPool(poolName: string): Promise<void>;
  /** Open connections by server and epoch, of one drive. */
  list(driveId: string): readonly OpenConnections[];
  /** How many connections are open to each drive that has any. */
  countByDrive(): ReadonlyMap<string, number>;
  /** Counts what connections have done since the last time. */
  collect(): void;
  /** Tells that the drive's I/O limits have changed in the metadata. */
  limitsChanged(driveId: string): void;
}
