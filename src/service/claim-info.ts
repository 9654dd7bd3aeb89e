import { timeText } from '../core/claim.ts';
import type { Claim } from '../core/claim.ts';
import type { Drive } from '../core/drive.ts';
import { DriveError } from '../core/errors.ts';
import type { ImagingJob } from '../core/imaging.ts';
import type { OpenConnections } from './connections.ts';
import { MAX_LEASE_SECONDS } from './limits.ts';
import type { Info } from './service.ts';

/** The length of a lease that was asked for; null when none was. Throws DriveError usage when it is impossible. */
export function leaseMsOf(leaseSeconds: number | undefined): number | null {
  if (leaseSeconds === undefined) return null;
  if (Number.isInteger(leaseSeconds) && leaseSeconds >= 1 && leaseSeconds <= MAX_LEASE_SECONDS) {
    return leaseSeconds * 1000;
  }
  throw new DriveError('usage', `A lease is 1 to ${MAX_LEASE_SECONDS} whole seconds, not ${leaseSeconds}.`);
}

/** One claim as it is answered; `expires` is absent without a lease. */
export function describeClaim(claim: Claim): Info {
  return {
    drive: claim.driveId,
    server: claim.serverId,
    access: claim.access,
    epoch: String(claim.epoch),
    ...(claim.expiresAtMs === null ? {} : { expires: timeText(claim.expiresAtMs) }),
  };
}

/** The same for a list, with since when it is held and how many connections are open under it, or that it is by rbd. */
export function describeListedClaim(
  claim: Claim,
  { drive, open }: { drive: Pick<Drive, 'directEpoch'>; open: readonly OpenConnections[] },
): Info {
  const since = timeText(claim.claimedAtMs);
  const protocol = drive.directEpoch === claim.epoch ? { protocol: 'rbd' } : {};
  return { ...describeClaim(claim), ...protocol, since, connections: String(countOpen(claim, open)) };
}

/**
 * Who holds a drive, as part of its full info: lists of words, each in the order of `claim:holders`, and a sentence
 * that says what would free the drive. Nothing when nobody does.
 */
export function describeHolding(live: readonly Claim[], { drive, jobs, open }: Holding): Info {
  const ends = [
    ...live.map(describeEnd),
    ...jobs.map((job) => `imaging onto drive ${job.targetDriveId} ends`),
  ];
  if (ends.length === 0) return {};
  const ending = { 'claim:ends': `when ${ends.join(', and ')}` };
  if (live.length === 0) return ending;
  const words = (word: (claim: Claim) => string | number): string => live.map(word).join(' ');
  return {
    'claim:holders': words((claim) => claim.serverId),
    'claim:access': words((claim) => claim.access),
    'claim:epochs': words((claim) => claim.epoch),
    'claim:since': words((claim) => timeText(claim.claimedAtMs)),
    'claim:expires': words(({ expiresAtMs }) => (expiresAtMs === null ? 'never' : timeText(expiresAtMs))),
    'claim:connections': words((claim) => countOpen(claim, open)),
    'claim:rbd': live.find((claim) => claim.epoch === drive.directEpoch)?.serverId ?? '',
    ...ending,
  };
}

interface Holding {
  readonly drive: Pick<Drive, 'directEpoch'>;
  readonly jobs: readonly ImagingJob[];
  readonly open: readonly OpenConnections[];
}

function describeEnd({ serverId, expiresAtMs }: Claim): string {
  const released = `server ${serverId} is released`;
  return expiresAtMs === null ? released : `${released} or its lease ends at ${timeText(expiresAtMs)}`;
}

function countOpen({ serverId, epoch }: Claim, open: readonly OpenConnections[]): number {
  return open
    .filter((each) => each.serverId === serverId && each.epoch === epoch)
    .reduce((sum, each) => sum + each.connections, 0);
}
