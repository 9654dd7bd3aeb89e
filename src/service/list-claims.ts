import type { User } from '../core/user.ts';
import { findLiveClaims } from './claim-checks.ts';
import { describeListedClaim } from './claim-info.ts';
import { findOwned } from './drive-lookup.ts';
import type { Info } from './service.ts';
import type { ServiceContext } from './service-context.ts';

/** The claims on a drive, in the order in which they came. */
export async function listClaims(
  context: ServiceContext,
  actor: User,
  driveId: string,
): Promise<readonly Info[]> {
  const drive = await findOwned(context.metadata.drives, actor.userId, driveId);
  const live = await findLiveClaims(context.metadata.claims, driveId, context);
  const open = context.connections.list(driveId);
  return live.map((claim) => describeListedClaim(claim, { drive, open }));
}
