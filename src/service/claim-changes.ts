import { liveClaims } from '../core/claim.ts';
import type { Claim, ClaimName } from '../core/claim.ts';
import { DriveError } from '../core/errors.ts';
import type { MetadataTransaction } from '../metadata/metadata-store.ts';
import type { AuditEvent } from './audit.ts';
import { endDirectAccess, isLeftOpen } from './direct-attachment.ts';
import { NO_NOTICES, noticeNodes, refuseGone, untilHeeded } from './node-notices.ts';
import type { ServiceContext } from './service-context.ts';

/** The claims of a drive as a change of them finds them, in its transaction. */
export interface ClaimSituation {
  readonly tx: MetadataTransaction;
  /** Without those whose lease has run out, which this transaction ends. */
  readonly live: readonly Claim[];
  readonly nowMs: number;
}

/** What a change has come to, and what the log is told of it. */
export interface ClaimOutcome<Result> {
  readonly result: Result;
  readonly events: readonly AuditEvent[];
}

/**
 * Changes who holds a drive: commits first, then cuts every connection whose claim is no more, has the other nodes that can
 * reach the drive do the same, keeps out who has reached it past Drivebay under such a claim, and returns only then.
 * One change of a drive at a time, so that what a change leaves is still true when it cuts.
 */
export async function changeClaims<Result>(
  context: ServiceContext,
  driveId: string,
  change: (situation: ClaimSituation) => Promise<ClaimOutcome<Result>>,
): Promise<Result> {
  return await context.claiming.run(driveId, async () => {
    const { expired, outcome, kept, sent, drive } = await commitChange(context, driveId, change);
    for (const { serverId, epoch } of expired) {
      context.audit({ event: 'expire', actor: null, drive: driveId, server: serverId, epoch });
    }
    for (const event of outcome.events) context.audit(event);
    await Promise.all([cutOthers(context, driveId, kept), untilHeeded(context, driveId, sent)]);
    if (drive !== null && isLeftOpen(drive, kept)) await endDirectAccess(context, drive);
    context.doubtfulClaims.delete(driveId);
    return outcome.result;
  });
}

async function commitChange<Result>(
  context: ServiceContext,
  driveId: string,
  change: (situation: ClaimSituation) => Promise<ClaimOutcome<Result>>,
) {
  try {
    return await context.metadata.transaction(async (tx) => {
      const nowMs = context.now();
      const all = await tx.claims.list([driveId]);
      const live = liveClaims(all, nowMs);
      const expired = all.filter((claim) => !live.includes(claim));
      for (const claim of expired) await tx.claims.remove(claim);
      const outcome = await change({ tx, live, nowMs });
      const drive = await tx.drives.find(driveId);
      const sent = drive === null ? NO_NOTICES : await noticeNodes(context, tx, drive);
      refuseGone(driveId, sent);
      return { expired, outcome, sent, drive, kept: await tx.claims.list([driveId]) };
    });
  } catch (error) {
    // It may have been made nevertheless; the sweeper cuts whom it has left without a claim.
    if (error instanceof DriveError && error.facts['isInDoubt'] === true) context.doubtfulClaims.add(driveId);
    throw error;
  }
}

/** Ends the claims of a drive whose lease has run out, and returns once their connections are cut. */
export async function endExpiredClaims(context: ServiceContext, driveId: string): Promise<void> {
  await changeClaims(context, driveId, () => Promise.resolve({ result: undefined, events: [] }));
}

/** Cuts every connection of the drive to this node that is not under one of these claims, and says so in the log. */
export async function cutOthers(
  context: ServiceContext,
  driveId: string,
  kept: readonly Pick<ClaimName, 'serverId' | 'epoch'>[],
): Promise<void> {
  const { connections } = context;
  const keep = kept.map(({ serverId, epoch }) => ({ serverId, epoch }));
  const ending = connections
    .list(driveId)
    .filter(
      (open) => !keep.some(({ serverId, epoch }) => serverId === open.serverId && epoch === open.epoch),
    );
  await connections.cut(driveId, keep);
  for (const { serverId, epoch, connections: count } of ending) {
    const event = { event: 'cut', actor: null, drive: driveId, server: serverId, epoch } as const;
    context.audit({ ...event, connections: count });
  }
}
