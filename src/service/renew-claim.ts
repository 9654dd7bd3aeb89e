import { describeHolders, leaseEnd } from '../core/claim.ts';
import type { Claim } from '../core/claim.ts';
import { DriveError } from '../core/errors.ts';
import type { User } from '../core/user.ts';
import { findLiveClaims, requireServerId } from './claim-checks.ts';
import { describeClaim, leaseMsOf } from './claim-info.ts';
import { findOwned } from './drive-lookup.ts';
import type { Info, RenewClaimInput } from './service.ts';
import type { ServiceContext } from './service-context.ts';

/**
 * Begins the lease of a claim anew, with its length so far or another one. The secret stays.
 *
 * @throws DriveError busy when the server does not hold the drive, or under another epoch; usage without a lease
 */
export async function renewClaim(
  context: ServiceContext,
  actor: User,
  driveId: string,
  { serverId, epoch, leaseSeconds }: RenewClaimInput,
): Promise<Info> {
  requireServerId(serverId);
  const askedMs = leaseMsOf(leaseSeconds);
  const renewed = await context.metadata.transaction(async (tx) => {
    await findOwned(tx.drives, actor.userId, driveId);
    const live = await findLiveClaims(tx.claims, driveId, context);
    const claim = live.find((each) => each.serverId === serverId);
    if (claim === undefined) throw notHeld(driveId, serverId, live);
    if (claim.epoch !== epoch) throw staleEpoch(claim, epoch);
    if (claim.leaseMs === null) {
      throw new DriveError('usage', `Server ${serverId} holds drive ${driveId} without a lease to renew.`, {
        drive: driveId,
      });
    }
    const leaseMs = askedMs ?? claim.leaseMs;
    const after: Claim = { ...claim, leaseMs, expiresAtMs: leaseEnd(leaseMs, context.now()) };
    await tx.claims.put(after);
    return after;
  });
  return describeClaim(renewed);
}

function notHeld(driveId: string, serverId: string, live: readonly Claim[]): DriveError {
  const holders = live.length === 0 ? 'nobody does' : `it is held by ${describeHolders(live)}`;
  return new DriveError(
    'busy',
    `Server ${serverId} does not hold drive ${driveId} any more: ${holders}. It has to be claimed again.`,
    { drive: driveId, server: serverId, epoch: live.at(-1)?.epoch },
  );
}

function staleEpoch({ driveId, serverId, epoch: currentEpoch }: Claim, epoch: number): DriveError {
  return new DriveError(
    'busy',
    `Epoch ${epoch} of server ${serverId} on drive ${driveId} is over; the current one is ${currentEpoch}.`,
    { drive: driveId, server: serverId, epoch: currentEpoch },
  );
}
