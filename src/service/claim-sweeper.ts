import { endExpiredClaims } from './claim-changes.ts';
import { createLeftOpenDrives } from './left-open-drives.ts';
import { MAX_SWEPT_CLAIMS } from './limits.ts';
import type { ServiceContext } from './service-context.ts';

/**
 * Ends claims whose lease has run out, so that their servers are cut off without anybody asking, and cuts those off that
 * a change of unknown outcome has left without a claim, or that could not be kept out when their claim ended.
 */
export interface ClaimSweeper {
  /** Begins to end those that have run out by now. One drive that takes long holds up no other. */
  sweep(): Promise<void>;
  /** Begins no more, and resolves once all that was begun has ended. */
  stop(): Promise<void>;
}

export function createClaimSweeper(context: ServiceContext): ClaimSweeper {
  const ending = new Map<string, Promise<void>>();
  const leftOpen = createLeftOpenDrives(context);
  let isStopped = false;

  async function end(driveId: string): Promise<void> {
    try {
      await endExpiredClaims(context, driveId);
    } catch (error) {
      context.reportFailure(error, `ending expired claims of drive ${driveId}`);
    } finally {
      ending.delete(driveId);
    }
  }

  return {
    async sweep() {
      // Those in other nodes' pools are theirs to end.
      const exceptPools = context.poolOwners.list().map(({ poolName }) => poolName);
      const request = { nowMs: context.now(), limit: MAX_SWEPT_CLAIMS, exceptPools };
      const expired = await context.metadata.claims.listExpired(request);
      const expiredIds = expired.map((claim) => claim.driveId);
      const leftIds = await leftOpen.listDue();
      for (const driveId of new Set([...context.doubtfulClaims, ...expiredIds, ...leftIds])) {
        if (!isStopped && !ending.has(driveId)) ending.set(driveId, end(driveId));
      }
    },
    async stop() {
      isStopped = true;
      await Promise.all(ending.values());
    },
  };
}
