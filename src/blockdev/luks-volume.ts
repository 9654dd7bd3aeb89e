import { randomBytes } from 'node:crypto';
import { MIB, roundUp, SECTOR_BYTES } from '../core/sizes.ts';
import { driveOfVolume } from '../core/volume-name.ts';
import { formatLuks1Header, LUKS1_PAYLOAD_OFFSET_BYTES } from '../crypto/luks1.ts';
import type { XtsEngine } from '../crypto/xts.ts';
import type { BlockDevice, DeviceEvents, Maybe, Range } from './block-device.ts';
import { byteAccess } from './layers/byte-access.ts';
import { changeTracking } from './layers/change-tracking.ts';
import type { ChangeTracker } from './layers/change-tracking.ts';
import { createDriveLock } from './layers/drive-lock.ts';
import type { LockWaiting } from './layers/drive-lock.ts';
import { luks } from './layers/luks.ts';
import { chain, ensuring, inPieces } from './maybe.ts';
import { outerBlocks } from './ranges.ts';
import type { StoragePool } from './storage-pool.ts';
import { systemError } from './system-error.ts';
import type { Volume } from './volume.ts';

/** What opens a volume. */
export interface VolumeOpening {
  readonly volumeName: string;
  /** The drive's own size. */
  readonly sizeBytes: number;
  /** The 64-byte AES-XTS volume key; null for a drive that is not encrypted. */
  readonly volumeKey: Uint8Array | null;
  /** The lock that all openings of this drive share, of `DRIVE_LOCK_BYTES`. */
  readonly lock: SharedArrayBuffer;
}

/** What holes are filled with at a time, while nobody else can write to the drive. */
const FILL_PIECE_BYTES = MIB;

/**
 * Makes a drive's volume, durably: as it is, or as a LUKS1 volume that the passphrase opens. It reads as zeros and takes
 * no space but that of the LUKS header.
 */
export function createVolume(
  pool: StoragePool,
  request: {
    volumeName: string;
    sizeBytes: number;
    encryption: { volumeKey: Uint8Array; passphrase: string } | null;
    random?: (lengthBytes: number) => Uint8Array;
  },
): Maybe<void> {
  const { volumeName, sizeBytes, encryption, random = randomBytes } = request;
  if (encryption === null) return pool.create(volumeName, sizeBytes);
  const header = formatLuks1Header({ ...encryption, uuid: driveOfVolume(volumeName), random });
  return chain(pool.create(volumeName, storedBytes(sizeBytes)), () =>
    chain(pool.open(volumeName, 'read-write'), (device) => writeDurably(device, header)),
  );
}

/** What the volume of an encrypted drive takes when it is full. */
function storedBytes(sizeBytes: number): number {
  return LUKS1_PAYLOAD_OFFSET_BYTES + roundUp(sizeBytes, SECTOR_BYTES);
}

function writeDurably(device: BlockDevice, header: Uint8Array): Maybe<void> {
  return ensuring(
    () => chain(device.write(0, header), () => device.flush()),
    () => device.close(),
  );
}

/**
 * Opens a drive's volume. `waiting` says how its writers wait for each other; see `LockWaiting`. `mayGrowElsewhere`: see
 * `byteAccess`. `changes` is told of every change, in offsets of what is stored.
 *
 * @throws an error with code EIO when the volume is shorter than the drive: something has cut it off
 */
export function openVolume(
  pool: StoragePool,
  spec: VolumeOpening,
  options: {
    engine: XtsEngine;
    access: 'read-only' | 'read-write';
    waiting?: LockWaiting;
    mayGrowElsewhere?: boolean;
    changes?: ChangeTracker;
    /** See `StoragePool.open`. */
    events?: DeviceEvents;
  },
): Maybe<Volume> {
  const { access, changes, events } = options;
  return chain(pool.open(spec.volumeName, access, events), (device) => {
    try {
      const tracked = changes === undefined ? device : changeTracking(device, changes);
      return volumeOver(tracked, spec, options);
    } catch (error) {
      return chain(device.close(), () => {
        throw error;
      });
    }
  });
}

interface OpeningOptions {
  readonly engine: XtsEngine;
  readonly waiting?: LockWaiting;
  readonly mayGrowElsewhere?: boolean;
}

function volumeOver(
  device: BlockDevice,
  { volumeName, sizeBytes, volumeKey, lock }: VolumeOpening,
  { engine, waiting, mayGrowElsewhere = false }: OpeningOptions,
): Volume {
  const neededBytes = volumeKey === null ? roundUp(sizeBytes, device.blockSize) : storedBytes(sizeBytes);
  if (device.sizeBytes < neededBytes) {
    const sizes = `it is ${device.sizeBytes} bytes long and must be ${neededBytes}`;
    throw systemError(
      'EIO',
      'open',
      `The volume of drive ${driveOfVolume(volumeName)} was cut off: ${sizes}.`,
    );
  }
  const access = { sizeBytes, lock: createDriveLock(lock, waiting), mayGrowElsewhere };
  if (volumeKey === null) return Object.assign(byteAccess(device, access), { encrypted: null });
  const cipher = engine.cipher(volumeKey);
  const encrypted = luks(device, { cipher, payloadOffsetBytes: LUKS1_PAYLOAD_OFFSET_BYTES });
  return Object.assign(byteAccess(encrypted, access), { encrypted });
}

/** Makes the drive this large, durably. Other openings of it must be made anew. */
export function resizeVolume(volume: BlockDevice, sizeBytes: number): Maybe<void> {
  return volume.resize(sizeBytes);
}

/**
 * Writes encrypted zeros into every sector of the range that was never written, or was given back, in pieces between
 * which others can write. Other tools decrypt what they find and would read noise there; afterwards they read zeros,
 * until the drive discards again. Nothing happens on a drive that is not encrypted.
 *
 * @returns the bytes written, which are durable after a later `flush`
 */
export function fillHoles(volume: Volume, range: Range): Maybe<number> {
  const { encrypted } = volume;
  if (encrypted === null) return 0;
  const { offsetBytes, lengthBytes } = outerBlocks(range, SECTOR_BYTES);
  let writtenBytes = 0;
  const done = inPieces({ lengthBytes, pieceBytes: FILL_PIECE_BYTES }, (from, pieceBytes) =>
    chain(
      volume.exclusively(() =>
        encrypted.fillHoles({ offsetBytes: offsetBytes + from, lengthBytes: pieceBytes }),
      ),
      (bytes) => {
        writtenBytes += bytes;
      },
    ),
  );
  return chain(done, () => writtenBytes);
}
