import type { PoolRoom } from '../blockdev/storage-pool.ts';

/** Where a volume is; for its name see `volume-name.ts`. */
export interface StoredVolume {
  readonly volumeName: string;
  readonly poolName: string;
}

/** What opens a drive's volume. Goes between threads; holds the volume key, so it is never logged. */
export interface VolumeSpec extends StoredVolume {
  /** The drive's own size; the volume's may be larger (LUKS header, padding to a sector). */
  readonly sizeBytes: number;
  /** The 64-byte AES-XTS volume key; null for a drive with cipher `none`. */
  readonly volumeKey: Uint8Array | null;
  /** The lock that writers of this drive share across threads, of `DRIVE_LOCK_BYTES`. */
  readonly lock: SharedArrayBuffer;
}

/** Room of a pool, or why it is inactive, as last looked at. */
export type PoolStatus =
  | { readonly isActive: true; readonly room: PoolRoom }
  | { readonly isActive: false; readonly reason: string };
