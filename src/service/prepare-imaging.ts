import type { ImagingJob } from '../core/imaging.ts';
import { endExpiredClaims } from './claim-changes.ts';
import type { ServiceContext } from './service-context.ts';

/** Returns once nobody writes any more to the drives of a job that was let in because nobody held them. */
export async function prepareImaging(
  context: ServiceContext,
  { targetDriveId, sourceDriveId }: Pick<ImagingJob, 'targetDriveId' | 'sourceDriveId'>,
): Promise<void> {
  await context.writes.quiesce(targetDriveId);
  // Servers whose lease ran out just before the job came may still be connected.
  await endExpiredClaims(context, targetDriveId);
  await endExpiredClaims(context, sourceDriveId);
}
