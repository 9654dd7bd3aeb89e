import { hasExpired } from '../core/claim.ts';
import type { ClaimName } from '../core/claim.ts';
import { DriveError } from '../core/errors.ts';
import { hashSecret } from './claim-drive.ts';
import type { Attachment } from './service.ts';
import type { ServiceContext } from './service-context.ts';

/** Looked for when no claim has the secret, so that this takes as long. No drive has this UUID. */
const NO_DRIVE = '';

/** What a secret opens; see `AttachmentService.resolve`. */
export async function resolveAttachment(
  context: Pick<ServiceContext, 'metadata' | 'pools' | 'now'>,
  secret: string,
): Promise<Attachment | null> {
  const { claims, drives } = context.metadata;
  const claim = await claims.findBySecretHash(hashSecret(secret));
  const drive = await drives.find(claim?.driveId ?? NO_DRIVE);
  if (claim === null || hasExpired(claim, context.now())) return null;
  if (drive === null || drive.state !== 'ready') return null;
  const status = context.pools.statusOf(drive.poolName);
  if (!status.isActive) throw new DriveError('system', status.reason, { pool: drive.poolName });
  return { claim, drive };
}

/** Whether a claim still stands; see `AttachmentService.isCurrent`. */
export async function isClaimCurrent(
  context: Pick<ServiceContext, 'metadata' | 'now'>,
  { driveId, serverId, epoch }: ClaimName,
): Promise<boolean> {
  const claim = await context.metadata.claims.find({ driveId, serverId });
  return claim !== null && claim.epoch === epoch && !hasExpired(claim, context.now());
}
