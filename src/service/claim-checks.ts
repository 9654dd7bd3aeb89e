import { claimsInTheWay, describeHolders, isWrittenExclusively, liveClaims } from '../core/claim.ts';
import type { Claim } from '../core/claim.ts';
import type { ClaimType, Drive } from '../core/drive.ts';
import { DriveError } from '../core/errors.ts';
import { isUuid } from '../core/uuid.ts';
import type { ClaimReader } from '../metadata/metadata-store.ts';
import type { ServiceContext } from './service-context.ts';

/** The drive's claims whose lease has not run out. */
export async function findLiveClaims(
  claims: ClaimReader,
  driveId: string,
  { now }: Pick<ServiceContext, 'now'>,
): Promise<readonly Claim[]> {
  const all = await claims.list([driveId]);
  return liveClaims(all, now());
}

/** Throws DriveError busy when any server holds the drive; names the holders and what would free it. */
export function refuseClaimed(drive: Drive, live: readonly Claim[], doing: string): void {
  if (live.length === 0) return;
  throw heldError(drive, live, `it cannot be ${doing} until that ends.`);
}

/** Throws DriveError busy for a write by HTTP to a drive that a server holds for itself alone, to read or to write. */
export function refuseExclusiveClaim(drive: Drive, live: readonly Claim[], doing: string): void {
  if (drive.claimType === 'exclusive') refuseClaimed(drive, live, doing);
}

/** Throws DriveError busy when a server writes to the drive and reckons with nobody: a copy of it would be torn. */
export function refuseExclusiveWriter(drive: Drive, live: readonly Claim[], doing: string): void {
  if (isWrittenExclusively(live, drive.claimType)) refuseClaimed(drive, live, doing);
}

/** Throws DriveError busy when other servers keep this one from claiming the drive. */
export function refuseOtherHolders(drive: Drive, live: readonly Claim[], serverId: string): void {
  const inTheWay = claimsInTheWay(live, { claimType: drive.claimType, serverId });
  if (inTheWay.length === 0) return;
  throw heldError(drive, inTheWay, `server ${serverId} can claim it when that ends, or with takeover true.`);
}

/** Throws DriveError busy when more servers hold the drive than its new claim type lets. */
export function refuseNewClaimType(drive: Drive, live: readonly Claim[], claimType: ClaimType): void {
  if (claimType === 'shared' || claimType === drive.claimType || live.length <= 1) return;
  throw heldError(drive, live, 'it can become exclusive when at most one server holds it.');
}

/** Throws DriveError usage when this is no UUID of a server. */
export function requireServerId(serverId: string): void {
  if (!isUuid(serverId)) throw new DriveError('usage', 'The server is not a UUID in lower case.');
}

function heldError(drive: Drive, live: readonly Claim[], consequence: string): DriveError {
  return new DriveError(
    'busy',
    `Drive ${drive.driveId} is held by ${describeHolders(live)}: ${consequence}`,
    { drive: drive.driveId, holder: live.map((claim) => claim.serverId) },
  );
}
