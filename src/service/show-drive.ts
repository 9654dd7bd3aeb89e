import { liveClaims } from '../core/claim.ts';
import type { Claim } from '../core/claim.ts';
import type { Drive } from '../core/drive.ts';
import type { ImagingJob } from '../core/imaging.ts';
import type { DriveMove } from '../core/move.ts';
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

interface View {
  readonly viewerId: string | null;
  readonly detail: InfoDetail;
}

/**
 * Drive info of one drive that is looked up last, after the imaging queue: of an imaging that has ended in between, the
 * drive then says how. The other way around it might be told of neither.
 */
export async function findAndShow(
  context: ServiceContext,
  driveId: string,
  { find, ...view }: View & { readonly find: () => Promise<Drive> },
): Promise<Info> {
  const surroundings = await readSurroundings(context, [driveId], view.detail);
  const [info] = describeDrives(context, [await find()], { ...surroundings, view });
  if (info === undefined) throw new Error('The info of one drive is one.');
  return info;
}

/** The same of a page of drives, with one look at the imaging queue, one at the claims and one at the moves. */
export async function showDrives(
  context: ServiceContext,
  drives: readonly Drive[],
  view: View,
): Promise<readonly Info[]> {
  const driveIds = drives.map((drive) => drive.driveId);
  const surroundings = await readSurroundings(context, driveIds, view.detail);
  return describeDrives(context, drives, { ...surroundings, view });
}

/** What there is about drives besides themselves. */
interface Surroundings {
  readonly jobs: readonly ImagingJob[];
  readonly claims: readonly Claim[];
  readonly moves: readonly DriveMove[];
}

async function readSurroundings(
  { metadata }: ServiceContext,
  driveIds: readonly string[],
  detail: InfoDetail,
): Promise<Surroundings> {
  const [jobs, claims, moves] = await Promise.all([
    metadata.imaging.listTouching(driveIds),
    metadata.claims.list(driveIds),
    detail === 'full' ? metadata.moves.list(driveIds) : [],
  ]);
  return { jobs, claims, moves };
}

function describeDrives(
  context: ServiceContext,
  drives: readonly Drive[],
  { jobs, claims, moves, view }: Surroundings & { readonly view: View },
): readonly Info[] {
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
      open: context.connections.list(drive.driveId),
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
