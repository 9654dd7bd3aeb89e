import type { User } from '../core/user.ts';
import type { AuditEvent } from './audit.ts';
import { changeClaims } from './claim-changes.ts';
import { requireServerId } from './claim-checks.ts';
import { withinDeadline } from './deadline.ts';
import { findOwned } from './drive-lookup.ts';
import type { ServiceContext } from './service-context.ts';

/**
 * Ends a server's claim. When this returns its connections cannot reach the drive any more. Releasing what is not held
 * is a success, so that a release can be repeated.
 */
export async function releaseDrive(
  context: ServiceContext,
  actor: User,
  driveId: string,
  { serverId }: { serverId: string },
): Promise<void> {
  requireServerId(serverId);
  const { poolName } = await findOwned(context.metadata.drives, actor.userId, driveId);
  const work = changeClaims(context, driveId, async ({ tx, live }) => {
    await findOwned(tx.drives, actor.userId, driveId);
    const claim = live.find((each) => each.serverId === serverId);
    if (claim === undefined) return { result: undefined, events: [] };
    await tx.claims.remove(claim);
    const { epoch } = claim;
    const event: AuditEvent = {
      event: 'release',
      actor: actor.userId,
      drive: driveId,
      server: serverId,
      epoch,
    };
    return { result: undefined, events: [event] };
  });
  await withinDeadline(poolName, work, () => undefined);
}
