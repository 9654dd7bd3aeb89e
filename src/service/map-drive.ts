import type { Range } from '../blockdev/block-device.ts';
import { DriveError } from '../core/errors.ts';
import { MIB, roundUp } from '../core/sizes.ts';
import type { User } from '../core/user.ts';
import { withinDeadline } from './deadline.ts';
import { findReadable, refuseImagingTarget } from './drive-lookup.ts';
import type { BlockInfo } from './service.ts';
import type { ServiceContext } from './service-context.ts';

/** The unit of the block map. */
const BLOCK_BYTES = 4 * MIB;
/** Looked at in one go: without hashes only extents are read, with them all the data. */
const STEP_BYTES = { withHash: 8 * BLOCK_BYTES, withoutHash: 1024 * BLOCK_BYTES };

/** The block map of a drive; see `DriveDataService.map`. The first step is checked before anything is answered. */
export async function* mapDrive(
  context: ServiceContext,
  actor: User,
  driveId: string,
  request: Range & { withHash: boolean },
): AsyncGenerator<readonly BlockInfo[]> {
  const drive = await findReadable(context.metadata.drives, actor.userId, driveId);
  const end = request.offsetBytes + request.lengthBytes;
  if (request.offsetBytes % BLOCK_BYTES !== 0) {
    throw new DriveError(
      'usage',
      `The offset of a map is a multiple of ${BLOCK_BYTES}, not ${request.offsetBytes}.`,
    );
  }
  if (end > roundUp(drive.sizeBytes, BLOCK_BYTES)) {
    throw new DriveError(
      'usage',
      `The range ends at ${end}, past the end of the drive at ${drive.sizeBytes}.`,
    );
  }
  refuseImagingTarget(drive, await context.metadata.imaging.listTouching([driveId]), 'mapped');
  const spec = await context.volumeKeys.specOf(drive);
  const stepBytes = request.withHash ? STEP_BYTES.withHash : STEP_BYTES.withoutHash;
  const lastByte = Math.min(end, drive.sizeBytes);
  for (let offsetBytes = request.offsetBytes; offsetBytes < lastByte; offsetBytes += stepBytes) {
    const range = { offsetBytes, lengthBytes: Math.min(stepBytes, lastByte - offsetBytes) };
    const work = context.volumes.map(spec, { range, withHash: request.withHash });
    const blocks = await withinDeadline(drive.poolName, work, () => undefined);
    yield blocks.map(({ sha256, ...block }) => ({ ...block, sha256: sha256 ?? undefined }));
  }
}
