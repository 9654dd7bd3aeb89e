import type { Range } from '../blockdev/block-device.ts';
import type { Drive } from '../core/drive.ts';
import { DriveError } from '../core/errors.ts';
import type { User } from '../core/user.ts';
import type { LentPieces } from '../data-workers/volumes.ts';
import { withinDeadline } from './deadline.ts';
import { findReadable, refuseImagingTarget } from './drive-lookup.ts';
import { MAX_READ_BYTES } from './limits.ts';
import type { DriveRead } from './service.ts';
import type { ServiceContext } from './service-context.ts';

/** Reads a range of a drive; see `DriveDataService.read`. */
export async function readDrive(
  context: ServiceContext,
  actor: User,
  driveId: string,
  request: Range & { withDigest: boolean },
): Promise<DriveRead> {
  const drive = await findReadable(context.metadata.drives, actor.userId, driveId);
  checkRange(drive, request);
  refuseImagingTarget(drive, await context.metadata.imaging.listTouching([driveId]), 'read');
  const spec = await context.volumeKeys.specOf(drive);
  const work: Promise<LentPieces & { sha256: Uint8Array | null }> = request.withDigest
    ? context.volumes.readWithDigest(spec, request)
    : context.volumes.read(spec, request).then((read) => ({ ...read, sha256: null }));
  const { pieces, sha256 } = await withinDeadline(drive.poolName, work, (read) => read.abandon());
  context.counters.count(driveId, { kind: 'read', bytes: request.lengthBytes });
  return { pieces, sha256 };
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
