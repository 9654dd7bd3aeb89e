import type { Claim } from '../core/claim.ts';
import type { Drive } from '../core/drive.ts';
import { DriveError } from '../core/errors.ts';
import { refuseMoving } from '../core/move.ts';
import { suits } from '../core/placement.ts';
import { MAX_DRIVE_BYTES } from '../core/sizes.ts';
import type { User } from '../core/user.ts';
import type { MetadataTransaction } from '../metadata/metadata-store.ts';
import { endExpiredClaims } from './claim-changes.ts';
import { findLiveClaims, refuseClaimed, refuseNewClaimType } from './claim-checks.ts';
import { refuseDirectAccess } from './direct-attachment.ts';
import { isClaimedBy } from './drive-info.ts';
import { findOwned } from './drive-lookup.ts';
import { checkQuota } from './quota.ts';
import { inResizeTurn } from './resize-turn.ts';
import type { Turn } from './resize-turn.ts';
import type { Info, SetDriveInput } from './service.ts';
import type { ServiceContext } from './service-context.ts';
import { showDrive } from './show-drive.ts';

/** Changes what is given of a drive, all or nothing. */
export async function setDrive(
  context: ServiceContext,
  actor: User,
  driveId: string,
  input: SetDriveInput,
): Promise<Info> {
  await context.counters.flush();
  const before = await findOwned(context.metadata.drives, actor.userId, driveId);
  const { sizeBytes } = input;
  const after =
    sizeBytes === undefined
      ? await change({ context, actor, driveId, input })
      : await inResizeTurn(context, before, (turn) =>
          resizeAndSet({ context, actor, driveId, turn, input: { ...input, sizeBytes } }),
        );
  // Nothing that a shared drive let through may go on beside its one holder.
  if (after.claimType === 'exclusive' && before.claimType === 'shared') await leaveToHolder(context, driveId);
  return await showDrive(context, after, actor);
}

async function leaveToHolder(context: ServiceContext, driveId: string): Promise<void> {
  await context.writes.quiesce(driveId);
  await endExpiredClaims(context, driveId);
}

/** What is to be changed of which drive, for whom. */
interface Setting {
  readonly context: ServiceContext;
  readonly actor: User;
  readonly driveId: string;
  readonly input: SetDriveInput;
}

interface Resizing extends Setting {
  readonly input: SetDriveInput & { readonly sizeBytes: number };
  readonly turn: Turn;
}

async function resizeAndSet(resizing: Resizing): Promise<Drive> {
  const { context, actor, driveId, input } = resizing;
  // Another resize may have come first.
  const { sizeBytes } = await findOwned(context.metadata.drives, actor.userId, driveId);
  return input.sizeBytes > sizeBytes ? await growAndSet(resizing) : await shrinkAndSet(resizing);
}

/** The volume grows first: a crash in between leaves it larger than the drive, which nobody sees. */
async function growAndSet(resizing: Resizing): Promise<Drive> {
  const { context, actor, driveId, input, turn } = resizing;
  const planned = await context.metadata.transaction(async (tx) => {
    const drive = await findOwned(tx.drives, actor.userId, driveId);
    return { drive, after: await checkedChange(context, tx, actor, drive, input) };
  });
  if (planned.after.sizeBytes > planned.drive.sizeBytes) {
    const spec = await context.volumeKeys.specOf(planned.drive);
    await context.volumes.resize(spec, { life: turn.life, sizeBytes: planned.after.sizeBytes });
  }
  return await change(resizing, turn);
}

/** The drive shrinks first: from then on nobody reads or writes what is cut off. */
async function shrinkAndSet(resizing: Resizing): Promise<Drive> {
  const { context, actor, driveId, input, turn } = resizing;
  const before = await findOwned(context.metadata.drives, actor.userId, driveId);
  if (input.sizeBytes < before.sizeBytes) {
    // A pool that cannot be reached must refuse this before the drive has changed.
    context.pools.threadsOf(before.poolName);
  }
  const after = await change(resizing, turn);
  if (after.sizeBytes < before.sizeBytes) {
    await context.writes.quiesce(driveId);
    await endExpiredClaims(context, driveId);
    const spec = await context.volumeKeys.specOf(before);
    await context.volumes.resize(spec, { life: turn.life, sizeBytes: after.sizeBytes });
  }
  return after;
}

async function change({ context, actor, driveId, input }: Setting, turn?: Turn): Promise<Drive> {
  return await context.metadata.transaction(async (tx) => {
    await turn?.check(tx);
    const drive = await findOwned(tx.drives, actor.userId, driveId);
    const after = await checkedChange(context, tx, actor, drive, input);
    await tx.drives.update(after);
    return after;
  });
}

/** The drive as it would be; throws DriveError when something forbids it. */
async function checkedChange(
  context: ServiceContext,
  tx: MetadataTransaction,
  actor: User,
  drive: Drive,
  input: SetDriveInput,
): Promise<Drive> {
  const live = await findLiveClaims(tx.claims, drive.driveId, context);
  await checkNewSize(tx, actor, drive, { sizeBytes: input.sizeBytes ?? drive.sizeBytes, live });
  refuseNewClaimType(drive, live, input.claimType ?? drive.claimType);
  await checkNewTier(context, tx, drive, input);
  return {
    ...drive,
    name: input.name === undefined ? drive.name : input.name === '' ? null : input.name,
    sizeBytes: input.sizeBytes ?? drive.sizeBytes,
    claimType: input.claimType ?? drive.claimType,
    tier: input.tier ?? drive.tier,
    readers: input.readers === undefined ? drive.readers : [...new Set(input.readers)],
    tags: input.tags === undefined ? drive.tags : [...new Set(input.tags)],
    attributes: mergeAttributes(drive.attributes, input.attributes ?? {}),
  };
}

async function checkNewSize(
  tx: MetadataTransaction,
  actor: User,
  drive: Drive,
  { sizeBytes, live }: { sizeBytes: number; live: readonly Claim[] },
): Promise<void> {
  if (sizeBytes === drive.sizeBytes) return;
  if (!Number.isSafeInteger(sizeBytes) || sizeBytes < 1 || sizeBytes > MAX_DRIVE_BYTES) {
    throw new DriveError('usage', `A drive's size is 1 to ${MAX_DRIVE_BYTES} bytes, not ${sizeBytes}.`);
  }
  refuseMoving(await tx.moves.find(drive.driveId), 'resized');
  if (sizeBytes > drive.sizeBytes) {
    await checkQuota(tx, actor, { drives: 0, sizeBytes: sizeBytes - drive.sizeBytes });
    // What it grows by would be noise to who decrypts it without Drivebay.
    if (drive.cipher !== 'none') refuseDirectAccess(drive, 'made larger, since it is encrypted,');
    return;
  }
  refuseClaimed(drive, live, 'made smaller');
  const jobs = await tx.imaging.listTouching([drive.driveId]);
  if (jobs.some((job) => isClaimedBy(drive, job) || job.sourceDriveId === drive.driveId)) {
    throw new DriveError(
      'busy',
      `Drive ${drive.driveId} is being imaged: it cannot shrink until that ends.`,
      {
        drive: drive.driveId,
      },
    );
  }
}

async function checkNewTier(
  context: ServiceContext,
  tx: MetadataTransaction,
  drive: Drive,
  input: SetDriveInput,
): Promise<void> {
  if (input.tier === undefined || input.tier === drive.tier) return;
  refuseMoving(await tx.moves.find(drive.driveId), 'given another tier');
  const pool = context.pools.configs.find((config) => config.spec.name === drive.poolName);
  if (pool === undefined || suits(pool, input.tier)) return;
  throw new DriveError(
    'full',
    `Drive ${drive.driveId} is in pool ${drive.poolName}, whose tier is ${pool.tier ?? 'any'}, not ${input.tier}.`,
    { drive: drive.driveId, pool: drive.poolName },
  );
}

function mergeAttributes(
  before: Readonly<Record<string, string>>,
  changes: Readonly<Record<string, string>>,
): Readonly<Record<string, string>> {
  const merged = new Map([...Object.entries(before), ...Object.entries(changes)]);
  return Object.fromEntries([...merged].filter(([, value]) => value !== ''));
}
