import { liveClaims } from '../core/claim.ts';
import { isMoving } from '../core/move.ts';
import { driveOfVolume } from '../core/volume-name.ts';
import type { StoredVolume } from '../data-workers/volume.ts';
import type { Notice } from '../metadata/metadata-store.ts';
import { cutOthers } from './claim-changes.ts';
import { finishDestroy } from './drive-removal.ts';
import { MAX_NOTICES } from './limits.ts';
import { isMadeElsewhere } from './moving-elsewhere.ts';
import type { ServiceContext } from './service-context.ts';

/** Does what other nodes ask of this one. */
export interface NoticeKeeper {
  /** Begins to heed the notices that there are by now. One drive that takes long holds up no other. */
  look(): Promise<void>;
  /** Begins no more, and resolves once all that was begun has ended. */
  stop(): Promise<void>;
}

export function createNoticeKeeper(context: ServiceContext): NoticeKeeper {
  const { metadata, node, reportFailure } = context;
  const heeding = new Map<string, Promise<void>>();
  let isStopped = false;

  async function heed(notice: Notice): Promise<void> {
    try {
      const isHeeded = await heedDrive(context, notice.driveId);
      if (isHeeded) await metadata.transaction((tx) => tx.notices.remove([notice.noticeId]));
    } catch (error) {
      // It is still there, and looked at again.
      reportFailure(error, `heeding another node's notice of drive ${notice.driveId}`);
    } finally {
      heeding.delete(notice.noticeId);
    }
  }

  return {
    async look() {
      const notices = await metadata.notices.listOf(node.nodeId, MAX_NOTICES);
      for (const notice of notices) {
        if (!isStopped && !heeding.has(notice.noticeId)) heeding.set(notice.noticeId, heed(notice));
      }
    },
    async stop() {
      isStopped = true;
      await Promise.all(heeding.values());
    },
  };
}

/**
 * Closes what is kept open of the drive's volumes but the one that it has: Ceph removes no image that somebody has open, and a
 * drive that has moved away may come back as another one.
 */
async function closeLeftVolumes(
  { pools }: Pick<ServiceContext, 'pools'>,
  driveId: string,
  current: StoredVolume | null,
): Promise<void> {
  for (const { spec } of pools.configs) {
    const isLeft = (volumeName: string): boolean =>
      driveOfVolume(volumeName) === driveId &&
      (volumeName !== current?.volumeName || spec.name !== current.poolName);
    if (pools.statusOf(spec.name).isActive) await pools.threadsOf(spec.name).closeVolumes(isLeft);
  }
}

/** Whether this process has reached those of the pools that are nobody's. */
function hasReached(
  { poolOwners, reachedPools }: Pick<ServiceContext, 'poolOwners' | 'reachedPools'>,
  poolNames: readonly string[],
): boolean {
  return poolNames.every((poolName) => poolOwners.ownerOf(poolName) !== null || reachedPools.has(poolName));
}

/**
 * Brings what this process does with a drive in line with the metadata: ends what it does for a move that is not its own any
 * more, cuts servers whose claim is no more, or all when another node moves the drive, waits for writes that were let through
 * before, applies limits, lets go of volumes that the drive has left, and ends what another node has begun to destroy.
 *
 * @returns false when that must wait for the drive's pool, or the one that it moves to, where a process of this node before this
 * one may have requests on their way until the pool is reached
 */
async function heedDrive(context: ServiceContext, driveId: string): Promise<boolean> {
  const { metadata, connections, writes, volumes, volumeKeys, poolOwners, node } = context;
  // Before the claims are read: a connection that is newer than them may have a newer claim.
  const before = connections.list(driveId);
  const [drive, claims, move] = await Promise.all([
    metadata.drives.find(driveId),
    metadata.claims.list([driveId]),
    metadata.moves.find(driveId),
  ]);
  const places = [drive, isMoving(move) ? move : null].filter((place) => place !== null);
  const poolNames = places.map(({ poolName }) => poolName);
  if (!hasReached(context, poolNames)) return false;
  if (!isMoving(move) || move.nodeId !== node.nodeId) await context.moves.end(driveId);
  const newer = connections
    .list(driveId)
    .filter(
      ({ serverId, epoch }) => !before.some((open) => open.serverId === serverId && open.epoch === epoch),
    );
  const isGivenUp = drive !== null && isMadeElsewhere(context, drive, move);
  await cutOthers(context, driveId, isGivenUp ? [] : [...liveClaims(claims, context.now()), ...newer]);
  await writes.quiesce(driveId);
  if (isGivenUp) volumes.forgetMove(driveId);
  connections.limitsChanged(driveId);
  await closeLeftVolumes(context, driveId, drive?.state === 'ready' ? drive : null);
  if (drive?.state !== 'destroying') return true;
  volumeKeys.forget(driveId);
  if (poolOwners.ownerOf(drive.poolName) !== node.nodeId) return true;
  try {
    await finishDestroy(context, drive);
  } catch (error) {
    // The drive is gone for its owner; the rest is done when the pool comes back, or at the next start.
    context.reportFailure(error, `removing the volume of destroyed drive ${driveId}`);
  }
  return true;
}
