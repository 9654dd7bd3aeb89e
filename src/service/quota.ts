import { DriveError } from '../core/errors.ts';
import type { Usage, User } from '../core/user.ts';
import type { MetadataTransaction } from '../metadata/metadata-store.ts';

/** Throws DriveError full when the user would own more than the quota allows. */
export async function checkQuota(tx: MetadataTransaction, owner: User, more: Usage): Promise<void> {
  // The quota as it is now, which may not be the one that the request came in with.
  const user = (await tx.users.find(owner.userId)) ?? owner;
  if (user.quotaDrives === null && user.quotaBytes === null) return;
  const usage = await tx.users.usage(user.userId);
  if (user.quotaDrives !== null && usage.drives + more.drives > user.quotaDrives) {
    throw new DriveError('full', `The quota of ${user.quotaDrives} drives is used up.`, {
      user: user.userId,
    });
  }
  if (user.quotaBytes !== null && usage.sizeBytes + more.sizeBytes > user.quotaBytes) {
    const leftBytes = Math.max(0, user.quotaBytes - usage.sizeBytes);
    throw new DriveError('full', `The quota of ${user.quotaBytes} bytes has ${leftBytes} left.`, {
      user: user.userId,
    });
  }
}
