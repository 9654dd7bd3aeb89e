import { DRIVE_TRANSITIONS } from '../core/drive.ts';
import type { Drive, DriveEvent } from '../core/drive.ts';
import type { MetadataTransaction } from '../metadata/metadata-store.ts';
import { endDirectAccess } from './direct-attachment.ts';
import { CREATE_MS, LIST_PAGE_DRIVES } from './limits.ts';
import type { ServiceContext } from './service-context.ts';
import { removeStrays } from './stray-removal.ts';

/** The first half of a destroy: once committed the drive is in no answer and its key is gone for good. */
export async function beginDestroyInside(
  tx: MetadataTransaction,
  drive: Drive,
  event: DriveEvent,
): Promise<Drive> {
  const state = DRIVE_TRANSITIONS[drive.state][event];
  if (state === null) throw new Error(`A drive that is ${drive.state} cannot be ${event}.`);
  const destroying: Drive = { ...drive, state };
  await tx.drives.updateKeys(drive.driveId, null);
  await tx.drives.update(destroying);
  return destroying;
}

/** The second half: returns the space and forgets the drive. Can be repeated. Nobody holds the drive. */
export async function finishDestroy(context: ServiceContext, drive: Drive): Promise<void> {
  await context.writes.quiesce(drive.driveId);
  await context.connections.cut(drive.driveId, []);
  await endDirectAccess(context, drive);
  await context.volumes.remove(drive);
  await context.metadata.transaction((tx) => tx.drives.remove(drive.driveId));
}

/** Undoes a create that did not succeed. What cannot be undone now is undone at the next start. */
export async function abandonDrive(context: ServiceContext, drive: Drive): Promise<void> {
  try {
    const destroying = await context.metadata.transaction(async (tx) => {
      const now = await tx.drives.find(drive.driveId);
      // It may have been finished since it was found half done.
      return now?.state === 'creating' ? await beginDestroyInside(tx, now, 'abandoned') : null;
    });
    if (destroying === null) return;
    context.volumeKeys.forget(drive.driveId);
    await finishDestroy(context, destroying);
  } catch (error) {
    context.reportFailure(error, `undoing the create of drive ${drive.driveId}`);
  }
}

/**
 * Finishes what an earlier life of the server, or a pool or database that was away, has left half done in one pool: creates that
 * were never acknowledged are undone, destroys that were are carried through, what moves have left is removed.
 */
export async function finishRemovals(context: ServiceContext, poolName: string): Promise<void> {
  for (const state of ['creating', 'destroying'] as const) {
    for (let after: string | null = null; ;) {
      const page: readonly Drive[] = await context.metadata.drives.list({
        poolName,
        state,
        after,
        limit: LIST_PAGE_DRIVES,
        userId: null,
        readerId: null,
        tag: null,
      });
      for (const drive of page) await finishRemoval(context, drive);
      after = page.at(-1)?.driveId ?? null;
      if (after === null) break;
    }
  }
  await removeStrays(context, poolName);
}

/** What fails with one drive, such as that somebody has it open all the time, keeps no other from being removed. */
async function finishRemoval(context: ServiceContext, drive: Drive): Promise<void> {
  if (context.creating.has(drive.driveId)) return;
  if (drive.state === 'creating') {
    if (!(await mayBeMadeElsewhere(context, drive))) await abandonDrive(context, drive);
    return;
  }
  try {
    await finishDestroy(context, drive);
  } catch (error) {
    if (!context.pools.statusOf(drive.poolName).isActive) throw error;
    context.reportFailure(error, `removing the volume of destroyed drive ${drive.driveId}`);
  }
}

/** Whether another node may be making the drive at this moment: one that can reach the pool, if it has not taken too long. */
async function mayBeMadeElsewhere(
  { metadata, node: self, poolOwners, now }: ServiceContext,
  { poolName, createdAtMs }: Drive,
): Promise<boolean> {
  if (poolOwners.ownerOf(poolName) !== null || now() - createdAtMs > CREATE_MS) return false;
  const nodes = await metadata.nodes.list();
  return nodes.some((node) => node.nodeId !== self.nodeId && !self.takesForGone(node));
}
