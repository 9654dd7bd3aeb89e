import { driveOfVolume } from '../core/volume-name.ts';
import type { MetadataTransaction, StrayVolume } from '../metadata/metadata-store.ts';
import { LIST_PAGE_DRIVES } from './limits.ts';
import { untilOthersAreInLine } from './node-notices.ts';
import { inRemovalTurn } from './resize-turn.ts';
import type { ServiceContext } from './service-context.ts';

/**
 * Removes a volume that a move or an imaging has left behind, unless that is done, or cannot be done as long as its pool is away, or
 * is for the node to do that has the drive. Whoever still reads it is waited for.
 */
export async function removeStray(context: ServiceContext, volume: StrayVolume): Promise<void> {
  const { metadata, pools, poolOwners, volumes } = context;
  // One after the other, so that nobody removes what was removed before and may be there anew.
  await context.removingStrays.run(volume.volumeName, async () => {
    if (!(await metadata.transaction((tx) => isToBeRemoved(tx, volume)))) return;
    if (!pools.statusOf(volume.poolName).isActive) return;
    // The node that has the drive may have removed it already, and be moving the drive back.
    if (poolOwners.ownerOf(volume.poolName) === null && (await isElsewhere(context, volume))) return;
    await inRemovalTurn(context, volume, async ({ life }) => {
      // Another node may have, and the drive be back.
      if (!(await metadata.transaction((tx) => isToBeRemoved(tx, volume)))) return;
      // As long as one of them has it open, Ceph keeps it.
      await untilOthersAreInLine(context, { driveId: driveOfVolume(volume.volumeName), ...volume });
      await volumes.remove(volume, { isLeft: true, life });
      await metadata.transaction((tx) => tx.strays.remove(volume));
    });
  });
}

/** Not when it is its drive's own, nor as long as an imaging may yet make it that. */
async function isToBeRemoved(tx: MetadataTransaction, volume: StrayVolume): Promise<boolean> {
  if (!(await tx.strays.has(volume))) return false;
  const driveId = driveOfVolume(volume.volumeName);
  const drive = await tx.drives.find(driveId);
  if (drive?.poolName !== volume.poolName) return true;
  if (drive.volumeName === volume.volumeName) return false;
  const jobs = await tx.imaging.listTouching([driveId]);
  return !jobs.some(({ targetDriveId }) => targetDriveId === driveId);
}

/** Whether the drive lies in a pool that this node has not. */
async function isElsewhere(
  { metadata, pools }: Pick<ServiceContext, 'metadata' | 'pools'>,
  { volumeName }: StrayVolume,
): Promise<boolean> {
  const drive = await metadata.drives.find(driveOfVolume(volumeName));
  return drive !== null && !pools.configs.some(({ spec }) => spec.name === drive.poolName);
}

/** The same behind an answer. */
export function removeStrayLater(context: ServiceContext, volume: StrayVolume): void {
  void removeReporting(context, volume);
}

/** What fails now is done when the pool comes back, or at the next start, and keeps nothing else from being done. */
async function removeReporting(context: ServiceContext, volume: StrayVolume): Promise<void> {
  try {
    await removeStray(context, volume);
  } catch (error) {
    const { volumeName, poolName } = volume;
    context.reportFailure(error, `removing volume ${volumeName}, which was left in pool ${poolName}`);
  }
}

/** Removes every volume that was left behind in a pool, as `removeStray` does. */
export async function removeStrays(context: ServiceContext, poolName: string): Promise<void> {
  for (let after: string | null = null; ;) {
    const request = { after, limit: LIST_PAGE_DRIVES };
    const page: readonly StrayVolume[] = await context.metadata.transaction((tx) =>
      tx.strays.list(poolName, request),
    );
    for (const volume of page) await removeReporting(context, volume);
    after = page.at(-1)?.volumeName ?? null;
    if (after === null) return;
  }
}

/** The same behind an answer. */
export function removeStraysLater(context: ServiceContext, poolName: string): void {
  removeStrays(context, poolName).catch((error: unknown) =>
    context.reportFailure(error, `removing what was left in pool ${poolName}`),
  );
}
