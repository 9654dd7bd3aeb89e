import { DRIVE_LOCK_BYTES } from '../blockdev/layers/drive-lock.ts';
import type { Drive } from '../core/drive.ts';
import { DriveError } from '../core/errors.ts';
import type { VolumeSpec } from '../data-workers/volume.ts';
import type { MetadataStore } from '../metadata/metadata-store.ts';
import type { KeyVault } from './key-vault.ts';

/** Resolves drives to what opens their volumes. */
export interface VolumeKeys {
  specOf(drive: Drive): Promise<VolumeSpec>;
  /** Forgets what is remembered of a drive: it was destroyed. */
  forget(driveId: string): void;
}

interface Remembered {
  readonly volumeKey: Uint8Array | null;
  readonly lock: SharedArrayBuffer;
}

/** Drives whose key is remembered at most; for others it is unwrapped anew. Their locks go with them only when unused. */
const MAX_REMEMBERED = 100_000;

/** The lock of a drive must be one and the same for all that use it, so it is remembered with the key. */
export function createVolumeKeys(metadata: MetadataStore, keyVault: KeyVault): VolumeKeys {
  const remembered = new Map<string, Remembered>();
  return {
    async specOf(drive) {
      let entry = remembered.get(drive.driveId);
      if (entry === undefined) {
        const volumeKey =
          drive.cipher === 'none' ? null : await unwrapVolumeKey(metadata, keyVault, drive.driveId);
        // Two requests may have come here at the same time: the first one's lock counts.
        entry = remembered.get(drive.driveId) ?? { volumeKey, lock: new SharedArrayBuffer(DRIVE_LOCK_BYTES) };
        remembered.set(drive.driveId, entry);
        if (remembered.size > MAX_REMEMBERED) forgetOldest(remembered);
      }
      const { volumeName, poolName, sizeBytes } = drive;
      return { volumeName, poolName, sizeBytes, ...entry };
    },
    forget(driveId) {
      remembered.get(driveId)?.volumeKey?.fill(0);
      remembered.delete(driveId);
    },
  };
}

function forgetOldest(remembered: Map<string, Remembered>): void {
  const [oldest] = remembered.keys();
  if (oldest !== undefined) remembered.delete(oldest);
}

async function unwrapVolumeKey(
  metadata: MetadataStore,
  keyVault: KeyVault,
  driveId: string,
): Promise<Uint8Array> {
  const keys = await metadata.drives.findKeys(driveId);
  if (keys === null) throw new DriveError('failed', `Drive ${driveId} has no key.`, { drive: driveId });
  const { volumeKey, masterKeyId } = keys;
  return keyVault.unwrap(volumeKey, { driveId, purpose: 'volume-key', masterKeyId });
}
