import { randomBytes } from 'node:crypto';
import { roundUp } from '../core/sizes.ts';
import type { BlockDevice } from './block-device.ts';
import { describeBlockDevice } from './describe-block-device.ts';
import type { ScratchDevice } from './describe-block-device.ts';
import type { ScratchPool } from './describe-storage-pool.ts';
import { byteAccess } from './layers/byte-access.ts';
import { createDriveLock, DRIVE_LOCK_BYTES } from './layers/drive-lock.ts';
import { fault } from './layers/fault.ts';
import { luks } from './layers/luks.ts';
import { createVolume, openVolume } from './luks-volume.ts';
import type { StoragePool } from './storage-pool.ts';
import {
  later,
  SCRATCH_DRIVE,
  scratchDevice,
  scratchEngine,
  scratchFilePool,
  scratchMemoryPool,
} from './scratch-devices.ts';

/** A length whose multiples are aligned to nothing. */
const ODD_BYTES = 701;
const PAYLOAD_OFFSET_BYTES = 8192;
const engine = scratchEngine();
const volumeKey = randomBytes(64);
const newLock = (): SharedArrayBuffer => new SharedArrayBuffer(DRIVE_LOCK_BYTES);

const payload = (device: BlockDevice): BlockDevice =>
  luks(device, { cipher: engine.cipher(volumeKey), payloadOffsetBytes: PAYLOAD_OFFSET_BYTES });

/** Byte access over encryption over a pool's volume, through `below`. */
async function encryptedBytes(
  pool: ScratchPool,
  { sizeBytes, below }: { sizeBytes: number; below: (device: BlockDevice) => BlockDevice },
): Promise<ScratchDevice> {
  const lock = createDriveLock(newLock(), 'event-loop');
  const storedBytes = PAYLOAD_OFFSET_BYTES + roundUp(sizeBytes, 512);
  const wrap = (device: BlockDevice): BlockDevice => byteAccess(payload(below(device)), { sizeBytes, lock });
  return await scratchDevice(pool, storedBytes, wrap);
}

async function volume(
  { pool, dispose }: { pool: StoragePool; dispose: () => Promise<void> },
  sizeBytes: number,
  isEncrypted: boolean,
): Promise<ScratchDevice> {
  const encryption = isEncrypted ? { volumeKey, passphrase: 'a'.repeat(43) } : null;
  await createVolume(pool, { volumeName: SCRATCH_DRIVE, sizeBytes, encryption });
  const spec = {
    volumeName: SCRATCH_DRIVE,
    sizeBytes,
    volumeKey: isEncrypted ? volumeKey : null,
    lock: newLock(),
  };
  const open = async (): Promise<BlockDevice> =>
    await openVolume(pool, spec, { engine, access: 'read-write' });
  return { device: await open(), reopen: open, dispose };
}

describeBlockDevice('memory', {
  unitBytes: ODD_BYTES,
  open: (sizeBytes) => scratchDevice(scratchMemoryPool(), sizeBytes),
});

describeBlockDevice('a file', {
  unitBytes: ODD_BYTES,
  open: (sizeBytes) => scratchDevice(scratchFilePool(), sizeBytes),
});

describeBlockDevice('a layer of faults that have not come', {
  unitBytes: ODD_BYTES,
  open: (sizeBytes) => scratchDevice(scratchMemoryPool(), sizeBytes, (device) => fault(device, [])),
});

describeBlockDevice('an encrypted payload in a file', {
  unitBytes: 512,
  open: (sizeBytes) => scratchDevice(scratchFilePool(), PAYLOAD_OFFSET_BYTES + sizeBytes, payload),
});

describeBlockDevice('byte access over an encrypted payload in memory', {
  unitBytes: ODD_BYTES,
  open: (sizeBytes) => encryptedBytes(scratchMemoryPool(), { sizeBytes, below: (device) => device }),
});

describeBlockDevice('byte access over an encrypted payload on a device that answers later', {
  unitBytes: ODD_BYTES,
  open: (sizeBytes) => encryptedBytes(scratchMemoryPool(), { sizeBytes, below: later }),
});

describeBlockDevice('an encrypted volume', {
  unitBytes: ODD_BYTES,
  open: (sizeBytes) => volume(scratchFilePool(), sizeBytes, true),
});

describeBlockDevice('a volume that is not encrypted', {
  unitBytes: ODD_BYTES,
  open: (sizeBytes) => volume(scratchFilePool(), sizeBytes, false),
});
