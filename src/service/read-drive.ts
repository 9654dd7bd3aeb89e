import type { Range } from '../blockdev/block-device.ts';
import type { Drive } from '../core/drive.ts';
import { NO_DIGEST } from '../core/body-digest.ts';
import { DriveError } from '../core/errors.ts';
import type { User } from '../core/user.ts';
import type { VolumeSpec } from '../data-workers/volume.ts';
import type { DigestedPieces, SentPart } from '../data-workers/volumes.ts';
import { withinDeadline } from './deadline.ts';
import { findReadable, refuseImagingTarget } from './drive-lookup.ts';
import { MAX_READ_BYTES } from './limits.ts';
import type { DriveRead, DriveReadRequest, Piece, SocketOutput } from './service.ts';
import type { ServiceContext } from './service-context.ts';

/** Reads a range of a drive; see `DriveDataService.read`. */
export async function readDrive(
  context: ServiceContext,
  actor: User,
  driveId: string,
  request: DriveReadRequest,
): Promise<DriveRead> {
  const drive = await findReadable(context.metadata.drives, actor.userId, driveId);
  checkRange(drive, request);
  refuseImagingTarget(drive, await context.metadata.imaging.listTouching([driveId]), 'read');
  const spec = await context.volumeKeys.specOf(drive);
  const startedAtMs = context.monotonicMs();
  const read = await begin(context, spec, request);
  // What a slow client takes later is its own time.
  const seconds = (context.monotonicMs() - startedAtMs) / 1000;
  context.counters.count(driveId, { kind: 'read', bytes: request.lengthBytes, seconds });
  return read;
}

async function begin(
  context: ServiceContext,
  spec: VolumeSpec,
  request: DriveReadRequest,
): Promise<DriveRead> {
  if (request.socket !== null && request.digest === null) {
    return await sendFirst(context, spec, { ...request, socket: request.socket });
  }
  const { volumes } = context;
  const work: Promise<DigestedPieces> =
    request.digest === null
      ? volumes.read(spec, request).then((read) => ({ ...read, digest: NO_DIGEST }))
      : volumes.readWithDigest(spec, request, request.digest);
  const { pieces, digest } = await withinDeadline(spec.poolName, work, (read) => read.abandon());
  return { sentBytes: null, pieces, digest };
}

/** Has a thread send what the client takes at once, and reads the rest. Throws only while nothing has been sent. */
async function sendFirst(
  context: ServiceContext,
  spec: VolumeSpec,
  { socket, ...range }: DriveReadRequest & { socket: SocketOutput },
): Promise<DriveRead> {
  const sending = context.volumes.send(spec, range, socket);
  let part: SentPart;
  try {
    part = await withinDeadline(spec.poolName, sending.done, () => undefined);
  } catch (error) {
    if (sending.takeBack()) throw error;
    return { digest: NO_DIGEST, sentBytes: 0, pieces: failing(error) };
  }
  const { isHeadSent, sentBytes, isCut, failure } = part;
  if (isCut) return { digest: NO_DIGEST, sentBytes, pieces: noPieces() };
  if (!isHeadSent) return await begin(context, spec, { ...range, socket: null });
  if (failure !== null) return { digest: NO_DIGEST, sentBytes, pieces: failing(failure) };
  const rest = { offsetBytes: range.offsetBytes + sentBytes, lengthBytes: range.lengthBytes - sentBytes };
  return { digest: NO_DIGEST, sentBytes, pieces: slowPieces(context, spec, rest) };
}

/** Each is waited for within the deadline. What goes wrong is thrown here, where it ends an answer that has begun. */
async function* slowPieces(context: ServiceContext, spec: VolumeSpec, range: Range): AsyncGenerator<Piece> {
  const pieces = context.volumes.readSlowly(spec, range);
  for (;;) {
    const { done, value } = await withinDeadline(spec.poolName, pieces.next(), () => undefined);
    if (done === true) return;
    yield value;
  }
}

async function* noPieces(): AsyncGenerator<Piece> {
  yield* [];
}

async function* failing(failure: unknown): AsyncGenerator<Piece> {
  yield* noPieces();
  throw failure;
}

function checkRange(drive: Drive, { offsetBytes, lengthBytes }: Range): void {
  if (lengthBytes < 1 || lengthBytes > MAX_READ_BYTES) {
    throw new DriveError('usage', `A read is 1 to ${MAX_READ_BYTES} bytes, not ${lengthBytes}.`);
  }
  if (offsetBytes + lengthBytes > drive.sizeBytes) {
    throw new DriveError(
      'usage',
      `${lengthBytes} bytes at offset ${offsetBytes} are past the end of the drive, which is ${drive.sizeBytes} bytes.`,
    );
  }
}
