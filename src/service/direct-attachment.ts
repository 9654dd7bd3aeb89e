import type { Claim, ClaimName } from '../core/claim.ts';
import type { Drive } from '../core/drive.ts';
import { DriveError } from '../core/errors.ts';
import { refuseMoving } from '../core/move.ts';
import type { MetadataTransaction } from '../metadata/metadata-store.ts';
import { findLiveClaims } from './claim-checks.ts';
import { MAX_KEEP_OUT_ROUNDS } from './limits.ts';
import { untilOthersAreInLine } from './node-notices.ts';
import type { Info } from './service.ts';
import type { ServiceContext } from './service-context.ts';

/** A drive, as far as programs reach it past Drivebay. */
type DirectDrive = Pick<Drive, 'driveId' | 'volumeName' | 'poolName' | 'directEpoch'>;

/**
 * Lets the claim's server reach the drive in its cluster, and answers with where. Nobody else has it open any more.
 *
 * @throws DriveError busy when the claim has ended meanwhile; system when the pool is inactive
 */
export async function beginDirectAccess(context: ServiceContext, claim: Claim): Promise<Info> {
  const { driveId, epoch } = claim;
  const { volumeName, poolName } = await context.metadata.transaction(async (tx) => {
    const drive = await findBeginning(tx, claim);
    await tx.claims.setDirectEpoch(driveId, epoch);
    return drive;
  });
  // What was let through before, such as a step of filling holes, ends first; nothing is let through from now on.
  await Promise.all([context.writes.quiesce(driveId), untilOthersAreInLine(context, { driveId, poolName })]);
  const { cephPool, namespace, image, monitors } = await context.directVolumes.offer({
    volumeName,
    poolName,
    epoch,
  });
  const live = await findLiveClaims(context.metadata.claims, driveId, context);
  if (!live.some((each) => each.epoch === epoch)) {
    // Who ended it may have looked for the name before it was there.
    await context.directVolumes.withdraw({ volumeName, poolName, epoch });
    throw hasEnded(claim);
  }
  return {
    protocol: 'rbd',
    'rbd:pool': cephPool,
    'rbd:namespace': namespace ?? '',
    'rbd:image': image,
    'rbd:monitors': monitors ?? '',
  };
}

/** The drive, if nothing has come in between. */
async function findBeginning(tx: MetadataTransaction, claim: Claim): Promise<Drive> {
  const { driveId, serverId, epoch } = claim;
  const now = await tx.claims.find({ driveId, serverId });
  const drive = await tx.drives.find(driveId);
  if (now?.epoch !== epoch || drive === null || drive.directEpoch !== null) throw hasEnded(claim);
  refuseMoving(await tx.moves.find(driveId), 'attached by rbd');
  return drive;
}

function hasEnded({ driveId: drive, serverId: server, epoch }: ClaimName): DriveError {
  const message = `The claim of server ${server} on drive ${drive} has ended while it began: claim it again.`;
  return new DriveError('busy', message, { drive, server, epoch });
}

/** Whether the drive may still be open to programs whose claim has ended. */
export function isLeftOpen(
  { directEpoch }: Pick<Drive, 'directEpoch'>,
  live: readonly Pick<Claim, 'epoch'>[],
): boolean {
  return directEpoch !== null && !live.some(({ epoch }) => epoch === directEpoch);
}

/**
 * Returns once no program changes the drive any more that was given it by a claim which has ended: nobody finds it by the
 * name of that claim, and who has it open is kept out of the cluster.
 *
 * @throws DriveError system when the pool is inactive, or somebody opens the drive again and again
 */
export async function endDirectAccess(context: ServiceContext, drive: DirectDrive): Promise<void> {
  const { driveId, volumeName, poolName, directEpoch: epoch } = drive;
  if (epoch === null) return;
  const { directVolumes, metadata } = context;
  const isEnded = async (): Promise<boolean> => (await metadata.drives.find(driveId))?.directEpoch !== epoch;
  const keptOut = new Set<string>();
  // Looked at once more after that: somebody may have been about to open the drive when its name went.
  let isReclaimed = false;
  for (let round = 0; ; round += 1) {
    if (round === MAX_KEEP_OUT_ROUNDS) throw cannotKeepOut(drive);
    const clients = await directVolumes.withdraw({ volumeName, poolName, epoch });
    // Another node may have done all this, and the drive be another server's by now: then these are that server's.
    if (await isEnded()) return;
    const addresses = clients.filter((address) => !keptOut.has(address));
    const exceptNodes = await listNodeIds(context);
    const isAlone = (await directVolumes.keepOut(poolName, { addresses, exceptNodes })) === 0;
    for (const address of addresses) keptOut.add(address);
    if (!isAlone) continue;
    if (isReclaimed) break;
    await directVolumes.reclaim({ volumeName, poolName });
    isReclaimed = true;
  }
  await metadata.transaction(async (tx) => {
    const now = await tx.drives.find(driveId);
    if (now?.directEpoch === epoch) await tx.claims.setDirectEpoch(driveId, null);
  });
}

async function listNodeIds({
  metadata,
  node,
}: Pick<ServiceContext, 'metadata' | 'node'>): Promise<readonly string[]> {
  const nodes = await metadata.nodes.list();
  return [...new Set([node.nodeId, ...nodes.map(({ nodeId }) => nodeId)])];
}

function cannotKeepOut({ driveId: drive, poolName: pool }: DirectDrive): DriveError {
  return new DriveError(
    'system',
    `Somebody opens drive ${drive} in pool ${pool} again and again, past Drivebay: stop that program first.`,
    { drive, pool },
  );
}

/** Throws DriveError busy while a server reaches the drive past Drivebay. */
export function refuseDirectAccess({ driveId, directEpoch }: DirectDrive, doing: string): void {
  if (directEpoch === null) return;
  throw new DriveError(
    'busy',
    `Drive ${driveId} is attached by rbd, past Drivebay: it cannot be ${doing} until it is released.`,
    { drive: driveId },
  );
}
