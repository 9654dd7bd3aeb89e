import type { ClaimType } from './drive.ts';

/** What a server may do with a drive that it holds: read and write, or only read. */
export type ClaimAccess = 'rw' | 'ro';

/** How a server reaches a drive: by way of Drivebay, or in the Ceph cluster that the drive lies in, past it. */
export type ClaimProtocol = 'nbd' | 'rbd';

/** One server's hold on a drive, as the metadata has it; a server has at most one on each drive. */
export interface Claim {
  readonly driveId: string;
  readonly serverId: string;
  readonly access: ClaimAccess;
  /** Grows with every claim of the drive, also after releases: the greater one is the newer. */
  readonly epoch: number;
  /** The SHA-256 of the secret that opens the drive under this claim, 32 bytes. The secret itself is not kept. */
  readonly secretHash: Uint8Array;
  readonly claimedAtMs: number;
  /** How long the claim lasts from when it was made or renewed; null is until it is released. */
  readonly leaseMs: number | null;
  /** When it ends unless renewed; null exactly when `leaseMs` is. */
  readonly expiresAtMs: number | null;
}

/** Names one claim among all there ever were. */
export type ClaimName = Pick<Claim, 'driveId' | 'serverId' | 'epoch'>;

/** Whether the claim's lease has run out: at its very end it has. */
export function hasExpired({ expiresAtMs }: Pick<Claim, 'expiresAtMs'>, nowMs: number): boolean {
  return expiresAtMs !== null && expiresAtMs <= nowMs;
}

/** When a lease of this length ends that begins now. */
export function leaseEnd(leaseMs: number | null, nowMs: number): number | null {
  return leaseMs === null ? null : nowMs + leaseMs;
}

/** Those whose lease has not run out, in the order in which they came. */
export function liveClaims(claims: readonly Claim[], nowMs: number): readonly Claim[] {
  return claims.filter((claim) => !hasExpired(claim, nowMs));
}

/** The live claims that keep this server from claiming the drive: a shared drive has none, an exclusive one others'. */
export function claimsInTheWay(
  live: readonly Claim[],
  { claimType, serverId }: { claimType: ClaimType; serverId: string },
): readonly Claim[] {
  return claimType === 'shared' ? [] : live.filter((claim) => claim.serverId !== serverId);
}

/** Whether somebody writes to the drive who need not reckon with anybody else. */
export function isWrittenExclusively(live: readonly Claim[], claimType: ClaimType): boolean {
  return claimType === 'exclusive' && live.some((claim) => claim.access === 'rw');
}

/** A time as the API shows it: ISO 8601 in UTC, such as 2026-01-31T12:00:00.000Z. */
export function timeText(timeMs: number): string {
  return new Date(timeMs).toISOString();
}

/** Holders that a sentence names; more are counted. */
const MAX_NAMED = 3;

/** Who holds the drive and what would end that, as part of a sentence. There is at least one claim. */
export function describeHolders(live: readonly Claim[]): string {
  const named = live.slice(0, MAX_NAMED).map((claim) => {
    const end =
      claim.expiresAtMs === null
        ? 'no lease: it must be released'
        : `its lease ends at ${timeText(claim.expiresAtMs)} unless renewed`;
    return `server ${claim.serverId} (${end})`;
  });
  const more = live.length > MAX_NAMED ? [`${live.length - MAX_NAMED} more`] : [];
  const words = [...named, ...more];
  const last = words.pop() ?? '';
  return words.length === 0 ? last : `${words.join(', ')} and ${last}`;
}
