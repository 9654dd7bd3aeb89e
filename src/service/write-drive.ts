import { liveClaims } from '../core/claim.ts';
import type { Drive } from '../core/drive.ts';
import { DriveError } from '../core/errors.ts';
import type { User } from '../core/user.ts';
import type { VolumeSpec } from '../data-workers/volume.ts';
import type { BegunBody, ReceivedBody } from '../data-workers/volumes.ts';
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

/** A write that was let through, of which nothing is written yet. */
interface OpenWrite {
  readonly spec: VolumeSpec;
  /** What has come of the body. */
  readonly begun: BegunBody | null;
}

/**
 * Writes a body to a drive; see `DriveDataService.write`. The drive's state is looked at before the body, so that nobody
 * sends 64 MiB to be refused, and with the write announced, because whoever changes the state waits for the writes
 * announced. They wait for the body of a fast client, which the thread that receives it writes at once. They do not for
 * one that takes longer than two seconds: that write is announced anew when its body is there, and the state looked at again.
 */
export async function writeDrive(
  context: ServiceContext,
  actor: User,
  driveId: string,
  request: DriveWrite,
): Promise<void> {
  const open = await writeAsReceived(context, actor, driveId, request);
  if (open === null) return;
  const { spec, begun } = open;
  const { offsetBytes, encoding, digest } = request;
  const body = await context.volumes.receive(spec, request.body, { offsetBytes, encoding, digest }, begun);
  const endWrite = context.writes.begin(driveId);
  const work = writeReceived(context, actor, driveId, request, body).finally(() => {
    body.release();
    endWrite();
  });
  await withinDeadline(spec.poolName, work, () => undefined);
}

/** Answers null when all is written. The pool has its deadline from when the body is there: before, the client is waited for. */
async function writeAsReceived(
  context: ServiceContext,
  actor: User,
  driveId: string,
  request: DriveWrite,
): Promise<OpenWrite | null> {
  const endWrite = context.writes.begin(driveId);
  const { promise: received, resolve: onReceived } = Promise.withResolvers<string>();
  const work = tryAsReceived(context, actor, driveId, { ...request, onReceived }).finally(endWrite);
  const first = await Promise.race([received, work]);
  if (typeof first !== 'string') return first;
  return await withinDeadline(first, work, () => undefined);
}

async function tryAsReceived(
  context: ServiceContext,
  actor: User,
  driveId: string,
  request: DriveWrite & { onReceived: (poolName: string) => void },
): Promise<OpenWrite | null> {
  const life = context.poolLife();
  const { drive, hasEndedClaims } = await findWritable(context, actor, driveId, request);
  const spec = await context.volumeKeys.specOf(drive);
  // What these leave to be done first may take long.
  if (hasEndedClaims) return { spec, begun: null };
  refuseFenced(context, drive.poolName);
  let startedAtMs = 0;
  const onReceived = (): void => {
    startedAtMs = context.monotonicMs();
    request.onReceived(drive.poolName);
  };
  const outcome = await context.volumes.writeAsReceived(spec, { ...request, life, onReceived });
  if (typeof outcome !== 'number') return { spec, begun: outcome };
  await noteWritten(context, drive, { bytes: outcome, startedAtMs });
  return null;
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
  const { offsetBytes, encoding, digest } = request;
  refuseFenced(context, drive.poolName);
  const bytes = await context.volumes.write(spec, { life, offsetBytes, body, encoding, digest });
  await noteWritten(context, drive, { bytes, startedAtMs });
}

async function noteWritten(
  context: ServiceContext,
  { driveId, imagingError }: Drive,
  { bytes, startedAtMs }: { bytes: number; startedAtMs: number },
): Promise<void> {
  const seconds = (context.monotonicMs() - startedAtMs) / 1000;
  context.counters.count(driveId, { kind: 'write', bytes, seconds });
  if (imagingError !== null) await clearImagingError(context, driveId);
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
