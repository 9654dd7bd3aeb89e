import type { DriveLimits } from './drive-limits.ts';
import { ALL_USERS } from './uuid.ts';

/** How many servers may hold a drive at once. */
export type ClaimType = 'exclusive' | 'shared';
/** How a drive's data is stored: a LUKS1 volume, or as it is. */
export type DriveCipher = 'aes-xts-plain' | 'none';
/** The kind of hardware that was asked for. */
export type Tier = 'disk' | 'ssd';

/**
 * Where a drive is in its life. `creating`: the row exists, its storage may not; nobody sees it.
 * `ready`: usable. `destroying`: its key is forgotten and nobody sees it; its storage may remain.
 */
export type DriveState = 'creating' | 'ready' | 'destroying';
/** What moves a drive from one state to another. */
export type DriveEvent = 'created' | 'abandoned' | 'destroyed';

/** Every transition there is; null is a mistake of the caller. */
export const DRIVE_TRANSITIONS: Readonly<
  Record<DriveState, Readonly<Record<DriveEvent, DriveState | null>>>
> = {
  creating: { created: 'ready', abandoned: 'destroying', destroyed: null },
  ready: { created: null, abandoned: null, destroyed: 'destroying' },
  destroying: { created: null, abandoned: 'destroying', destroyed: 'destroying' },
};

/** What clients and servers have read and written, cumulative. */
export interface DriveCounters {
  readonly readBytes: number;
  readonly readRequests: number;
  readonly writeBytes: number;
  readonly writeRequests: number;
}

export const NO_COUNTERS: DriveCounters = { readBytes: 0, readRequests: 0, writeBytes: 0, writeRequests: 0 };

/** One drive as the metadata holds it. Lists are in the order in which the owner gave them. */
export interface Drive {
  readonly driveId: string;
  readonly userId: string;
  readonly name: string | null;
  /** Exactly as asked for, at least 1. */
  readonly sizeBytes: number;
  readonly claimType: ClaimType;
  readonly cipher: DriveCipher;
  readonly tier: Tier;
  /** The pool that stores it, by its name in the configuration. */
  readonly poolName: string;
  /** Its volume in that pool; see `volume-name.ts`. */
  readonly volumeName: string;
  readonly state: DriveState;
  /** Who else may read it; `ALL_USERS` for everybody. */
  readonly readers: readonly string[];
  readonly tags: readonly string[];
  /** The owner's own pairs, keys without the `user:` prefix. */
  readonly attributes: Readonly<Record<string, string>>;
  readonly counters: DriveCounters;
  /** What administrators allow its servers. */
  readonly limits: DriveLimits;
  /**
   * The epoch of the claim under which programs may reach the volume in its cluster, past Drivebay; null when none can.
   * It stays, also when the claim has ended, until they have been kept out.
   */
  readonly directEpoch: number | null;
  /** Why the last imaging failed, until the next write or image; else null. */
  readonly imagingError: string | null;
  readonly createdAtMs: number;
}

/** Whether this user may read the drive: its owner, a reader, or anyone when all users may. */
export function mayRead(drive: Pick<Drive, 'userId' | 'readers'>, userId: string): boolean {
  return drive.userId === userId || drive.readers.includes(userId) || isPublic(drive);
}

/** Whether all users may read the drive. */
export function isPublic(drive: Pick<Drive, 'readers'>): boolean {
  return drive.readers.includes(ALL_USERS);
}
