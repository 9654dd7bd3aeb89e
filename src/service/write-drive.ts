import { liveClaims } from '../core/claim.ts';
import type { Drive } from '../core/drive.ts';
import { DriveError } from '../core/errors.ts';
import type { User } from '../core/user.ts';
import type { ReceivedBody } from '../data-workers/volumes.ts';
import { endExpiredClaims } from './claim-changes.ts';
import { refuseExclusiveClaim } from './claim-checks.ts';
import { withinDeadline } from './deadline.ts';
import { isLeftOpen } from './direct-attachment.ts';
import { findMove, refuseMovingElsewhere } from './moving-elsewhere.ts';
import { refuseFenced } from './node-fence.ts';
import { isClaimedBy } from './drive-info.ts';
import { findOwned, refuseImagingSource, refuseImagingTarget } from './drive-lookup.ts';
import { MAX_BODY_BYTES } from './limits.ts';
import type { DriveWrite } from './service.ts';
import type { ServiceContext } from './service-context.ts';

/**
 * Writes a body to a drive; see `DriveDataService.write`. The drive's state is looked at twice: before the body, so
 * that nobody sends 64 MiB to be refused, and after it, with the write announced, because the state may have changed
 * while the body came and whoever changes it waits for the writes announced.
 */
export async function writeDrive(
  context: ServiceContext,
  actor: User,
  driveId: string,
  request: DriveWrite,
): Promise<void> {
  const { drive } = await findWritable(context, actor, driveId, request);
  const { offsetBytes, encoding, sha256 } = request;
  const spec = await context.volumeKeys.specOf(drive);
  const body = await context.volumes.receive(spec, request.body, { offsetBytes, encoding, sha256 });
  const endWrite = context.writes.begin(driveId);
  const work = writeReceived(context, actor, driveId, request, body).finally(() => {
    body.release();
    endWrite();
  });
  await withinDeadline(drive.poolName, work, () => undefined);
}

async function writeReceived(
  context: ServiceContext,
  actor: User,
  driveId: string,
  request: DriveWrite,
  body: ReceivedBody,
): Promise<void> {
  const startedAtMs = context.monotonicMs();
  const life = context.poolLife();
  const { drive, hasEndedClaims } = await findWritable(context, actor, driveId, request);
  // A server whose claim has ended may still reach the drive.
  if (hasEndedClaims) await endExpiredClaims(context, driveId);
  const spec = await context.volumeKeys.specOf(drive);
  const { offsetBytes, encoding, sha256 } = request;
  refuseFenced(context, drive.poolName);
  const bytes = await context.volumes.write(spec, { life, offsetBytes, body, encoding, sha256 });
  const seconds = (context.monotonicMs() - startedAtMs) / 1000;
  context.counters.count(driveId, { kind: 'write', bytes, seconds });
  if (drive.imagingError !== null) await clearImagingError(context, driveId);
}

async function findWritable(
  context: ServiceContext,
  actor: User,
  driveId: string,
  request: DriveWrite,
): Promise<{ drive: Drive; hasEndedClaims: boolean }> {
  const { metadata } = context;
  const [jobs, claims, move] = await Promise.all([
    metadata.imaging.listTouching([driveId]),
    metadata.claims.list([driveId]),
    findMove(context, driveId),
  ]);
  const drive = await findOwned(metadata.drives, actor.userId, driveId);
  await refuseMovingElsewhere(context, drive, move);
  refuseImagingTarget(drive, jobs, 'written');
  refuseImagingSource(
    drive,
    jobs.filter((job) => isClaimedBy(drive, job)),
    'written',
  );
  const live = liveClaims(claims, context.now());
  refuseExclusiveClaim(drive, live, 'written by HTTP');
  checkLength(drive, request);
  return { drive, hasEndedClaims: live.length < claims.length || isLeftOpen(drive, live) };
}

function checkLength(drive: Drive, { offsetBytes, body, encoding }: DriveWrite): void {
  const bodyBytes = body.lengthBytes;
  if (bodyBytes > MAX_BODY_BYTES) {
    throw new DriveError('too-large', `A write takes at most ${MAX_BODY_BYTES} bytes, not ${bodyBytes}.`);
  }
  // What a compressed body comes to is known only once it has been unpacked.
  const atLeastBytes = encoding === 'identity' ? bodyBytes : 0;
  if (offsetBytes + atLeastBytes > drive.sizeBytes) {
    throw new DriveError(
      'usage',
      `${atLeastBytes} bytes at offset ${offsetBytes} are past the end of the drive, which is ${drive.sizeBytes} bytes.`,
    );
  }
}

async function clearImagingError(context: ServiceContext, driveId: string): Promise<void> {
  await context.metadata.transaction(async (tx) => {
    const drive = await tx.drives.find(driveId);
    if (drive !== null) await tx.drives.update({ ...drive, imagingError: null });
  });
}
