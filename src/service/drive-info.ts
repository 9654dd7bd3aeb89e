import type { Claim } from '../core/claim.ts';
import { isPublic } from '../core/drive.ts';
import type { Drive } from '../core/drive.ts';
import { imagingClaim, imagingPercent } from '../core/imaging.ts';
import type { ImagingJob } from '../core/imaging.ts';
import { isMoving, movePercent } from '../core/move.ts';
import type { DriveMove } from '../core/move.ts';
import { describeHolding } from './claim-info.ts';
import type { OpenConnections } from './connections.ts';
import type { Info, InfoDetail } from './service.ts';

/** What drive info is made of, besides the drive. */
export interface DriveSituation {
  /** Whether its pool can be reached. */
  readonly isActive: boolean;
  /** Jobs that have it as their target or source, oldest first. */
  readonly jobs: readonly ImagingJob[];
  /** Live claims on it, oldest first. */
  readonly claims: readonly Claim[];
  /** Its open connections. */
  readonly open: readonly OpenConnections[];
  /** Its move to another pool, also one that has failed; null when there is none. */
  readonly move: DriveMove | null;
}

/** Whether an imaging holds the drive: as its target, or as a source that not everybody may read. */
export function isClaimedBy(drive: Drive, job: ImagingJob): boolean {
  return job.targetDriveId === drive.driveId || (job.sourceDriveId === drive.driveId && !isPublic(drive));
}

/**
 * Drive info for its owner or for a reader, who is not shown tags, readers, the owner's own pairs and details of
 * claims. Keys without a
 * value are absent.
 */
export function describeDrive(
  drive: Drive,
  situation: DriveSituation,
  view: { viewerId: string | null; detail: InfoDetail },
): Info {
  const isOwner = view.viewerId === null || view.viewerId === drive.userId;
  const imaging = situation.jobs.find((job) => job.targetDriveId === drive.driveId);
  const claimingJobs = situation.jobs.filter((job) => isClaimedBy(drive, job));
  const info: Record<string, string | number | null> = {
    drive: drive.driveId,
    name: drive.name,
    user: drive.userId,
    size: drive.sizeBytes,
    status: situation.isActive ? 'active' : 'inactive',
    claimed: [...situation.claims.map((claim) => claim.serverId), ...claimingJobs.map(imagingClaim)].join(
      ' ',
    ),
    'claim:type': drive.claimType,
    ...(isOwner && view.detail === 'full'
      ? describeHolding(situation.claims, { drive, jobs: claimingJobs, open: situation.open })
      : {}),
    imaging: imaging === undefined ? null : describeImaging(imaging, view.detail),
    'imaging:error': drive.imagingError,
    ...(isOwner && view.detail === 'full' ? describeMove(situation.move) : {}),
    'read:bytes': String(drive.counters.readBytes),
    'read:requests': String(drive.counters.readRequests),
    'write:bytes': String(drive.counters.writeBytes),
    'write:requests': String(drive.counters.writeRequests),
    'encryption:cipher': drive.cipher,
    tier: drive.tier,
    // Where drives lie is the administrators' business.
    pool: view.viewerId === null ? drive.poolName : null,
  };
  if (isOwner) Object.assign(info, view.detail === 'full' ? describeLimits(drive) : {}, describeOwned(drive));
  return Object.fromEntries(
    Object.entries(info).filter(
      (pair): pair is [string, string | number] => pair[1] !== null && pair[1] !== '',
    ),
  );
}

function describeMove(move: DriveMove | null): Record<string, string | null> {
  if (move === null) return {};
  const progress = isMoving(move) ? `${movePercent(move)}%` : null;
  return {
    'moving:to': isMoving(move) ? move.poolName : null,
    'moving:progress': progress,
    'moving:error': move.error,
  };
}

function describeLimits({ limits }: Drive): Record<string, string | null> {
  const text = (limit: number | null): string | null => (limit === null ? null : String(limit));
  return {
    'limit:iops': text(limits.iops),
    'limit:iops:burst': text(limits.iopsBurst),
    'limit:bytes': text(limits.bytesPerSecond),
    'limit:bytes:burst': text(limits.burstBytes),
  };
}

function describeOwned(drive: Drive): Record<string, string> {
  const pairs = Object.entries(drive.attributes).map(([key, value]) => [`user:${key}`, value] as const);
  return { readers: drive.readers.join(' '), tags: drive.tags.join(' '), ...Object.fromEntries(pairs) };
}

function describeImaging(job: ImagingJob, detail: InfoDetail): string {
  if (job.state === 'queued') return 'queued';
  return detail === 'full' ? `${imagingPercent(job)}%` : 'true';
}
