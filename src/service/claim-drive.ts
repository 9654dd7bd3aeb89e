import { hash } from 'node:crypto';
import { claimsInTheWay, leaseEnd } from '../core/claim.ts';
import type { Claim, ClaimProtocol } from '../core/claim.ts';
import type { Drive } from '../core/drive.ts';
import { DriveError } from '../core/errors.ts';
import type { User } from '../core/user.ts';
import type { AuditEvent } from './audit.ts';
import { changeClaims } from './claim-changes.ts';
import type { ClaimSituation } from './claim-changes.ts';
import { refuseOtherHolders, requireServerId } from './claim-checks.ts';
import { describeClaim, leaseMsOf } from './claim-info.ts';
import { withinDeadline } from './deadline.ts';
import { beginDirectAccess } from './direct-attachment.ts';
import { refuseDirectClaim } from './direct-claim-checks.ts';
import { isClaimedBy } from './drive-info.ts';
import { findOwned, refuseImagingSource, refuseImagingTarget } from './drive-lookup.ts';
import { CLAIM_SECRET_BYTES, MAX_CLAIMS } from './limits.ts';
import type { ClaimDriveInput, Info } from './service.ts';
import type { ServiceContext } from './service-context.ts';

/**
 * Lets a server hold a drive. A claim that the server had already is replaced, with its secret; with `takeover` so is
 * another server's that stands in the way. When this returns nothing of those can reach the drive any more.
 *
 * @throws DriveError busy when another server holds an exclusive drive, and while an imaging needs the drive; usage for
 *   rbd where the drive is not in Ceph, or is shared
 */
export async function claimDrive(
  context: ServiceContext,
  actor: User,
  driveId: string,
  input: ClaimDriveInput,
): Promise<Info> {
  requireServerId(input.serverId);
  const leaseMs = leaseMsOf(input.leaseSeconds);
  const secret = Buffer.from(context.randomBytes(CLAIM_SECRET_BYTES)).toString('hex');
  const { poolName } = await findOwned(context.metadata.drives, actor.userId, driveId);
  const work = changeClaims(context, driveId, async (situation) => {
    const { tx, live, nowMs } = situation;
    const drive = await checkClaimable(actor, driveId, input, situation);
    if (input.protocol === 'rbd') await refuseDirectClaim(context, tx, drive);
    const taken = claimsInTheWay(live, { ...drive, ...input });
    for (const claim of taken) await tx.claims.remove(claim);
    const claim: Claim = {
      driveId,
      serverId: input.serverId,
      access: input.access ?? 'rw',
      epoch: await tx.claims.nextEpoch(driveId),
      secretHash: hashSecret(secret),
      claimedAtMs: nowMs,
      leaseMs,
      expiresAtMs: leaseEnd(leaseMs, nowMs),
    };
    await tx.claims.put(claim);
    return { result: claim, events: eventsOf(actor, claim, taken) };
  });
  const claim = await withinDeadline(poolName, work, () => undefined);
  // Writes that came by HTTP were let through because nobody held the drive; after them none is.
  await withinDeadline(poolName, context.writes.quiesce(driveId), () => undefined);
  const place = await attachInfo(context, { poolName, secret, claim, protocol: input.protocol });
  return { ...describeClaim(claim), ...place };
}

/** What is kept of a secret. It is random and long, so a plain hash cannot be searched for. */
export function hashSecret(secret: string): Uint8Array {
  return hash('sha256', secret, 'buffer');
}

async function checkClaimable(
  actor: User,
  driveId: string,
  { serverId, access, takeover }: ClaimDriveInput,
  { tx, live }: ClaimSituation,
): Promise<Drive> {
  const drive = await findOwned(tx.drives, actor.userId, driveId);
  const jobs = await tx.imaging.listTouching([driveId]);
  refuseImagingTarget(drive, jobs, 'claimed');
  if (access !== 'ro') {
    const claims = jobs.filter((job) => isClaimedBy(drive, job));
    refuseImagingSource(drive, claims, 'claimed for writing');
  }
  if (takeover !== true) refuseOtherHolders(drive, live, serverId);
  if (live.length >= MAX_CLAIMS && !live.some((claim) => claim.serverId === serverId)) {
    throw new DriveError('busy', `Drive ${driveId} is held by ${MAX_CLAIMS} servers, which is the most.`, {
      drive: driveId,
    });
  }
  return drive;
}

function eventsOf(actor: User, claim: Claim, taken: readonly Claim[]): readonly AuditEvent[] {
  const { driveId: drive, serverId: server, epoch } = claim;
  const common = { actor: actor.userId, drive, server, epoch };
  if (taken.length === 0) return [{ event: 'claim', ...common }];
  return taken.map(({ serverId }) => ({ event: 'takeover', ...common, previousServer: serverId }));
}

/** Where the server finds the drive. The node that has the drive's pool is the one that serves it. */
async function attachInfo(
  context: ServiceContext,
  { poolName, secret, claim, protocol }: Attaching,
): Promise<Info> {
  if (protocol === 'rbd') {
    const begun = beginDirectAccess(context, claim);
    return await withinDeadline(poolName, begun, () => undefined);
  }
  const { attachUris, pools, poolOwners } = context;
  const isHere = pools.configs.some(({ spec }) => spec.name === poolName);
  if (!isHere) await poolOwners.refresh();
  const { tcp, unix } = attachUris(secret, poolOwners.find(poolName)?.node ?? null);
  return {
    ...(tcp === undefined ? {} : { 'attach:tcp': tcp }),
    ...(unix === undefined ? {} : { 'attach:unix': unix }),
  };
}

interface Attaching {
  readonly poolName: string;
  readonly secret: string;
  readonly claim: Claim;
  readonly protocol: ClaimProtocol | undefined;
}
