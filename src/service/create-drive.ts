import type { Drive } from '../core/drive.ts';
import { NO_COUNTERS } from '../core/drive.ts';
import { NO_LIMITS } from '../core/drive-limits.ts';
import { DriveError } from '../core/errors.ts';
import { isMoving } from '../core/move.ts';
import { placeDrive } from '../core/placement.ts';
import type { AvoidedDrive, PlacementPool } from '../core/placement.ts';
import { MAX_DRIVE_BYTES } from '../core/sizes.ts';
import type { User } from '../core/user.ts';
import type { VolumeSpec } from '../data-workers/volume.ts';
import type { MetadataTransaction } from '../metadata/metadata-store.ts';
import { abandonDrive } from './drive-removal.ts';
import { makeDriveSecrets } from './drive-secrets.ts';
import type { DriveSecrets } from './drive-secrets.ts';
import { findOwned } from './drive-lookup.ts';
import { findEarlierCreate } from './idempotent-create.ts';
import type { Idempotency } from './idempotent-create.ts';
import { IDEMPOTENCY_MS } from './limits.ts';
import { checkQuota } from './quota.ts';
import type { CreateDriveInput, Info } from './service.ts';
import type { ServiceContext } from './service-context.ts';
import { showDrive } from './show-drive.ts';

/**
 * Creates a drive: places it, makes its keys and its volume. It is seen by nobody until all of it is durable.
 *
 * @throws DriveError full when the quota, `avoid` or the pools leave no room for it
 */
export async function createDrive(
  context: ServiceContext,
  actor: User,
  input: CreateDriveInput,
  idempotency?: Idempotency,
): Promise<Info> {
  checkSize(input.sizeBytes);
  if (idempotency !== undefined) {
    const earlier = await findEarlierCreate(context, actor, idempotency);
    if (earlier !== null) return await showDrive(context, earlier, actor);
  }
  const driveId = context.newUuid();
  context.creating.add(driveId);
  try {
    const created = await createNew(context, actor, input, { driveId, idempotency });
    if (created !== null) return created;
  } finally {
    context.creating.delete(driveId);
  }
  // Another create under the same key came first, in between: this one waits for its drive.
  return await createDrive(context, actor, input, idempotency);
}

async function createNew(
  context: ServiceContext,
  actor: User,
  input: CreateDriveInput,
  { driveId, idempotency }: { driveId: string; idempotency: Idempotency | undefined },
): Promise<Info | null> {
  const secrets = (input.cipher ?? 'aes-xts-plain') === 'none' ? null : makeDriveSecrets(context, driveId);
  const pools = await context.poolLoads.places();
  const drive = await context.metadata.transaction(async (tx) => {
    if (idempotency !== undefined && (await isUnderWay(context, tx, actor, idempotency))) return null;
    await checkQuota(tx, actor, { drives: 1, sizeBytes: input.sizeBytes });
    const poolName = await place(tx, actor, { driveId, input, pools });
    context.poolLoads.add(poolName, input.sizeBytes);
    const created = newDrive(context, actor, input, { driveId, poolName });
    await tx.drives.insert(created, secrets?.wrapped ?? null);
    await tx.drives.insertAvoided(driveId, input.avoid ?? []);
    if (idempotency !== undefined) await remember(context, tx, actor, idempotency, driveId);
    return created;
  });
  if (drive === null) return null;
  await makeVolume(context, drive, secrets);
  return await showDrive(context, await makeReady(context, drive), actor);
}

/** From here on it is seen. It may have taken so long that another node has given it up meanwhile. */
async function makeReady(context: ServiceContext, drive: Drive): Promise<Drive> {
  const ready: Drive = { ...drive, state: 'ready' };
  await context.metadata.transaction(async (tx) => {
    const now = await tx.drives.find(drive.driveId);
    if (now?.state === 'creating') await tx.drives.update(ready);
    else
      throw new DriveError(
        'system',
        'The drive took too long to be made, and was given up: create it again.',
      );
  });
  return ready;
}

function checkSize(sizeBytes: number): void {
  if (Number.isSafeInteger(sizeBytes) && sizeBytes >= 1 && sizeBytes <= MAX_DRIVE_BYTES) return;
  throw new DriveError('usage', `A drive's size is 1 to ${MAX_DRIVE_BYTES} bytes, not ${sizeBytes}.`);
}

async function place(
  tx: MetadataTransaction,
  actor: User,
  placing: { driveId: string; input: CreateDriveInput; pools: readonly PlacementPool[] },
): Promise<string> {
  const { driveId, input, pools } = placing;
  const avoid: AvoidedDrive[] = [];
  for (const avoidedId of new Set(input.avoid)) {
    avoid.push(await findOwned(tx.drives, actor.userId, avoidedId));
    const move = await tx.moves.find(avoidedId);
    if (isMoving(move)) avoid.push(move);
  }
  const request = { driveId, sizeBytes: input.sizeBytes, tier: input.tier ?? 'disk', avoid };
  return placeDrive(request, pools).name;
}

function newDrive(
  context: ServiceContext,
  actor: User,
  input: CreateDriveInput,
  { driveId, poolName }: { driveId: string; poolName: string },
): Drive {
  return {
    driveId,
    poolName,
    volumeName: driveId,
    userId: actor.userId,
    name: input.name === undefined || input.name === '' ? null : input.name,
    sizeBytes: input.sizeBytes,
    claimType: input.claimType ?? 'exclusive',
    cipher: input.cipher ?? 'aes-xts-plain',
    tier: input.tier ?? 'disk',
    state: 'creating',
    readers: [...new Set(input.readers)],
    tags: [...new Set(input.tags)],
    attributes: input.attributes ?? {},
    counters: NO_COUNTERS,
    limits: NO_LIMITS,
    directEpoch: null,
    imagingError: null,
    createdAtMs: context.now(),
  };
}

async function remember(
  context: ServiceContext,
  tx: MetadataTransaction,
  actor: User,
  { key, bodyHash }: Idempotency,
  driveId: string,
): Promise<void> {
  const nowMs = context.now();
  await tx.drives.removeExpiredIdempotent(nowMs);
  const { userId } = actor;
  const expiresAtMs = nowMs + IDEMPOTENCY_MS;
  await tx.drives.insertIdempotent({ userId, idempotencyKey: key, bodyHash, driveId, expiresAtMs });
}

async function isUnderWay(
  context: ServiceContext,
  tx: MetadataTransaction,
  { userId }: User,
  { key }: Idempotency,
): Promise<boolean> {
  return (await tx.drives.findIdempotent({ userId, idempotencyKey: key, nowMs: context.now() })) !== null;
}

async function makeVolume(
  context: ServiceContext,
  drive: Drive,
  secrets: DriveSecrets | null,
): Promise<void> {
  try {
    const spec: VolumeSpec = await context.volumeKeys.specOf(drive);
    await context.volumes.create(spec, secrets?.passphrase ?? null);
  } catch (error) {
    await abandonDrive(context, drive);
    throw error;
  }
}
