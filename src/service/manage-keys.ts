import type { Drive } from '../core/drive.ts';
import { DriveError } from '../core/errors.ts';
import { MIB } from '../core/sizes.ts';
import type { VolumeSpec } from '../data-workers/volume.ts';
import type { MetadataTransaction, WrappedKeys } from '../metadata/metadata-store.ts';
import { refuseDirectAccess } from './direct-attachment.ts';
import { findAny, refuseImagingTarget } from './drive-lookup.ts';
import { wrapSecrets } from './drive-secrets.ts';
import { LIST_PAGE_DRIVES } from './limits.ts';
import { findMove, refuseMovingElsewhere } from './moving-elsewhere.ts';
import type { Info } from './service.ts';
import type { ServiceContext } from './service-context.ts';

/** The passphrase of a drive, and where its volume is; see `MasterKeyService.exportKey`. */
export async function exportKey(
  context: ServiceContext,
  driveId: string,
  { fillHoles, signal }: { fillHoles: boolean; signal: AbortSignal },
): Promise<Info> {
  const drive = await findAny(context.metadata.drives, driveId);
  const keys = await context.metadata.drives.findKeys(driveId);
  if (keys === null) {
    throw new DriveError('usage', `Drive ${driveId} is not encrypted: it has no key.`, { drive: driveId });
  }
  const { passphrase } = unwrapSecrets(context, driveId, keys);
  const filledBytes = fillHoles ? await fill(context, drive, signal) : 0;
  // It may have moved meanwhile.
  const filled = await findAny(context.metadata.drives, driveId);
  return {
    drive: driveId,
    passphrase: Buffer.from(passphrase).toString('latin1'),
    volume: context.pools.volumeLocation(filled),
    'filled:bytes': String(filledBytes),
  };
}

/** What is filled between two looks at whether the client is still there. */
const FILL_STEP_BYTES = 16 * MIB;

async function fill(context: ServiceContext, drive: Drive, signal: AbortSignal): Promise<number> {
  const jobs = await context.metadata.imaging.listTouching([drive.driveId]);
  refuseImagingTarget(drive, jobs, 'filled');
  const spec = await context.volumeKeys.specOf(drive);
  const holeBytes = await countHoles(context, spec, signal);
  const pool = context.pools.views().find(({ name }) => name === drive.poolName);
  if (pool !== undefined && holeBytes > pool.availableBytes) {
    throw new DriveError(
      'full',
      `Filling the holes of drive ${drive.driveId} takes ${holeBytes} bytes, and pool ${drive.poolName} has ` +
        `${pool.availableBytes} left; with fill false the key is exported without filling them.`,
      { drive: drive.driveId, pool: drive.poolName },
    );
  }
  let filledBytes = 0;
  for (let offsetBytes = 0; offsetBytes < spec.sizeBytes; offsetBytes += FILL_STEP_BYTES) {
    signal.throwIfAborted();
    const range = { offsetBytes, lengthBytes: Math.min(FILL_STEP_BYTES, spec.sizeBytes - offsetBytes) };
    filledBytes += await fillStep(context, drive, async (now, life) =>
      context.volumes.fillHoles(await context.volumeKeys.specOf(now), { life, range }),
    );
  }
  return filledBytes;
}

/** Announced like a write: who is to have the drive to itself waits for what has been let through. */
async function fillStep(
  context: ServiceContext,
  { driveId }: Drive,
  work: (drive: Drive, life: number) => Promise<number>,
): Promise<number> {
  const end = context.writes.begin(driveId);
  const life = context.poolLife();
  try {
    const move = await findMove(context, driveId);
    const drive = await findAny(context.metadata.drives, driveId);
    refuseDirectAccess(drive, 'filled');
    await refuseMovingElsewhere(context, drive, move);
    return await work(drive, life);
  } finally {
    end();
  }
}

/** Looked at in one go; only extents are read. */
const COUNT_STEP_BYTES = 4096 * MIB;

/** Bytes of the drive in blocks of the map that were never written. */
async function countHoles(context: ServiceContext, spec: VolumeSpec, signal: AbortSignal): Promise<number> {
  let holeBytes = 0;
  for (let offsetBytes = 0; offsetBytes < spec.sizeBytes; offsetBytes += COUNT_STEP_BYTES) {
    signal.throwIfAborted();
    const range = { offsetBytes, lengthBytes: Math.min(COUNT_STEP_BYTES, spec.sizeBytes - offsetBytes) };
    for (const block of await context.volumes.map(spec, { range, withHash: false })) {
      if (block.isZero) holeBytes += block.lengthBytes;
    }
  }
  return holeBytes;
}

/** Wraps every drive's keys under a new master key; touches no data. Can be repeated after a crash. */
export async function rotateMasterKey(context: ServiceContext): Promise<Info> {
  await context.keyVault.beginRotation();
  const masterKeyId = context.keyVault.currentId();
  let rewrapped = 0;
  for (let isMore = true; isMore;) {
    const count = await context.metadata.transaction((tx) => rewrapPage(context, tx, masterKeyId));
    rewrapped += count;
    isMore = count > 0;
  }
  await context.keyVault.endRotation();
  return { 'master:key': masterKeyId, rewrapped: String(rewrapped) };
}

async function rewrapPage(
  context: ServiceContext,
  tx: MetadataTransaction,
  masterKeyId: string,
): Promise<number> {
  const page = await tx.drives.listKeysNotUnder(masterKeyId, { after: null, limit: LIST_PAGE_DRIVES });
  for (const { driveId, keys } of page) {
    await tx.drives.updateKeys(driveId, wrapSecrets(context, driveId, unwrapSecrets(context, driveId, keys)));
  }
  return page.length;
}

function unwrapSecrets(
  { keyVault }: ServiceContext,
  driveId: string,
  { masterKeyId, volumeKey, passphrase }: WrappedKeys,
): { volumeKey: Uint8Array; passphrase: Uint8Array } {
  return {
    volumeKey: keyVault.unwrap(volumeKey, { driveId, purpose: 'volume-key', masterKeyId }),
    passphrase: keyVault.unwrap(passphrase, { driveId, purpose: 'passphrase', masterKeyId }),
  };
}
