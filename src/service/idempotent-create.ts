import { timingSafeEqual } from 'node:crypto';
import type { Drive } from '../core/drive.ts';
import { DriveError } from '../core/errors.ts';
import type { User } from '../core/user.ts';
import { IDEMPOTENCY_WAIT_MS } from './limits.ts';
import type { ServiceContext } from './service-context.ts';

/** The header's key, and the SHA-256 of the request's body. */
export interface Idempotency {
  readonly key: string;
  readonly bodyHash: Uint8Array;
}

const POLL_MS = 20;

/**
 * The drive that an earlier create under this key has made, waiting while it is being made or destroyed; null when there is none.
 *
 * @throws DriveError usage when the key was used with another body
 */
export async function findEarlierCreate(
  context: ServiceContext,
  actor: User,
  { key, bodyHash }: Idempotency,
): Promise<Drive | null> {
  const untilMs = context.now() + IDEMPOTENCY_WAIT_MS;
  for (;;) {
    const nowMs = context.now();
    const earlier = await context.metadata.drives.findIdempotent({
      userId: actor.userId,
      idempotencyKey: key,
      nowMs,
    });
    if (earlier === null) return null;
    if (!timingSafeEqual(earlier.bodyHash, bodyHash)) {
      throw new DriveError('usage', `Idempotency-Key ${key} was used before with another request body.`);
    }
    const drive = await context.metadata.drives.find(earlier.driveId);
    if (drive?.state === 'ready') return drive;
    if (drive === null) return null;
    if (nowMs > untilMs)
      throw new DriveError('busy', `Drive ${drive.driveId} is still being created or destroyed.`);
    await new Promise((resolve) => {
      setTimeout(resolve, POLL_MS);
    });
  }
}
