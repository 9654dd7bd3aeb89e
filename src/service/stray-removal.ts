import type { StrayVolume } from '../metadata/metadata-store.ts';
import { LIST_PAGE_DRIVES } from './limits.ts';
import type { ServiceContext } from './service-context.ts';

/**
 * Removes a volume that a move has left behind, unless that is done, or cannot be done as long as its pool is away. Whoever
 * still reads the drive there is waited for.
 */
export async function removeStray(context: ServiceContext, volume: StrayVolume): Promise<void> {
  const { metadata, pools, volumes } = context;
  // One after the other, so that nobody removes what was removed before and may be there anew.
  await context.removingStrays.run(volume.driveId, async () => {
    if (!(await metadata.transaction((tx) => tx.strays.has(volume)))) return;
    if (!pools.statusOf(volume.poolName).isActive) return;
    await volumes.remove(volume);
    await metadata.transaction((tx) => tx.strays.remove(volume));
  });
}

/** The same behind an answer: what fails now is done when the pool comes back, or at the next start. */
export function removeStrayLater(context: ServiceContext, volume: StrayVolume): void {
  removeStray(context, volume).catch((error: unknown) =>
    context.reportFailure(error, `removing what drive ${volume.driveId} has left in pool ${volume.poolName}`),
  );
}

/** Removes every volume that moves have left behind in a pool. */
export async function removeStrays(context: ServiceContext, poolName: string): Promise<void> {
  for (let after: string | null = null; ;) {
    const request = { after, limit: LIST_PAGE_DRIVES };
    const page: readonly StrayVolume[] = await context.metadata.transaction((tx) =>
      tx.strays.list(poolName, request),
    );
    for (const volume of page) await removeStray(context, volume);
    after = page.at(-1)?.driveId ?? null;
    if (after === null) return;
  }
}
