import { liveClaims } from '../core/claim.ts';
import type { Drive } from '../core/drive.ts';
import type { User } from '../core/user.ts';
import { describeDrive } from './drive-info.ts';
import type { Info, InfoDetail } from './service.ts';
import type { ServiceContext } from './service-context.ts';

/** Drive info of one drive as it is now, for a viewer who may see it; null sees all. */
export async function showDrive(
  context: ServiceContext,
  drive: Drive,
  viewer: User | null,
  detail: InfoDetail = 'brief',
): Promise<Info> {
  const [info] = await showDrives(context, [drive], { viewerId: viewer?.userId ?? null, detail });
  if (info === undefined) throw new Error('The info of one drive is one.');
  return info;
}

/** The same of a page of drives, with one look at the imaging queue, one at the claims and one at the moves. */
export async function showDrives(
  context: ServiceContext,
  drives: readonly Drive[],
  view: { viewerId: string | null; detail: InfoDetail },
): Promise<readonly Info[]> {
  const { metadata, connections } = context;
  const driveIds = drives.map((drive) => drive.driveId);
  const [jobs, claims, moves] = await Promise.all([
    metadata.imaging.listTouching(driveIds),
    metadata.claims.list(driveIds),
    view.detail === 'full' ? metadata.moves.list(driveIds) : [],
  ]);
  const moveOf = new Map(moves.map((move) => [move.driveId, move]));
  const claimsByDrive = Map.groupBy(liveClaims(claims, context.now()), (claim) => claim.driveId);
  return drives.map((drive) => {
    const isActive = canBeReached(context, drive.poolName);
    const own = jobs.filter(
      (job) => job.targetDriveId === drive.driveId || job.sourceDriveId === drive.driveId,
    );
    const situation = {
      isActive,
      jobs: own,
      claims: claimsByDrive.get(drive.driveId) ?? [],
      open: connections.list(drive.driveId),
      move: moveOf.get(drive.driveId) ?? null,
    };
    return describeDrive(drive, situation, view);
  });
}

/** Whether this node, or the one that the pool belongs to, can reach it. */
function canBeReached({ pools, poolOwners }: ServiceContext, poolName: string): boolean {
  const other = poolOwners.find(poolName);
  return other === null ? pools.statusOf(poolName).isActive : other.node.state !== 'gone';
}
