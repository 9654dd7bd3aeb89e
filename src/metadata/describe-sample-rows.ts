import { randomBytes, randomUUID } from 'node:crypto';
import type { Claim } from '../core/claim.ts';
import { NO_COUNTERS } from '../core/drive.ts';
import type { Drive } from '../core/drive.ts';
import { NO_LIMITS } from '../core/drive-limits.ts';
import type { User } from '../core/user.ts';
import type { MetadataStore, WrappedKeys } from './metadata-store.ts';

export function sampleUser(change: Partial<User> = {}): User {
  return {
    userId: randomUUID(),
    name: null,
    isAdmin: false,
    isDisabled: false,
    quotaDrives: null,
    quotaBytes: null,
    createdAtMs: 1_700_000_000_000,
    ...change,
  };
}

export function sampleDrive(userId: string, change: Partial<Drive> = {}): Drive {
  const driveId = change.driveId ?? randomUUID();
  return {
    driveId,
    userId,
    name: 'disk',
    sizeBytes: 1024,
    claimType: 'exclusive',
    cipher: 'aes-xts-plain',
    tier: 'disk',
    poolName: 'default',
    volumeName: driveId,
    state: 'ready',
    readers: [],
    tags: [],
    attributes: {},
    counters: NO_COUNTERS,
    limits: NO_LIMITS,
    directEpoch: null,
    imagingError: null,
    createdAtMs: 1_700_000_000_000,
    ...change,
  };
}

export function sampleClaim(driveId: string, change: Partial<Claim> = {}): Claim {
  return {
    driveId,
    serverId: randomUUID(),
    access: 'rw',
    epoch: 1,
    secretHash: randomBytes(32),
    claimedAtMs: 1_700_000_000_000,
    leaseMs: null,
    expiresAtMs: null,
    ...change,
  };
}

export function sampleKeys(fill: number, masterKeyId = 'master-1'): WrappedKeys {
  return {
    masterKeyId,
    volumeKey: new Uint8Array(92).fill(fill),
    passphrase: new Uint8Array(60).fill(fill + 1),
  };
}

export const SAMPLE_HASH = new Uint8Array(32).fill(7);

export async function insertUser(store: MetadataStore, change: Partial<User> = {}): Promise<User> {
  const user = sampleUser(change);
  await store.transaction((tx) => tx.users.insert(user, SAMPLE_HASH));
  return user;
}

export async function insertDrives(store: MetadataStore, drives: readonly Drive[]): Promise<void> {
  await store.transaction(async (tx) => {
    // At once, so that they travel together where the database is a server.
    await Promise.all(drives.map((drive) => tx.drives.insert(drive, null)));
  });
}

/** A drive of a new user. */
export async function insertDrive(store: MetadataStore, change: Partial<Drive> = {}): Promise<Drive> {
  const user = await insertUser(store);
  const drive = sampleDrive(user.userId, change);
  await insertDrives(store, [drive]);
  return drive;
}
