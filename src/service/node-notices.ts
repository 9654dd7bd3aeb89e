import type { Drive } from '../core/drive.ts';
import { DriveError } from '../core/errors.ts';
import { NODE_GONE_MS, nodeName } from '../core/node.ts';
import type { Node } from '../core/node.ts';
import type { MetadataStore, MetadataTransaction, OpenNotice } from '../metadata/metadata-store.ts';
import type { ServiceContext } from './service-context.ts';

/** What other nodes were told of a drive. */
export interface SentNotices {
  readonly noticeIds: readonly string[];
  /** The one node that can reach the drive, which is another one; null when several can, or this one alone. */
  readonly onlyNode: Node | null;
  /** Those of the other nodes that can reach the drive which were gone when this one changed it. */
  readonly gone: readonly Node[];
  /** The drive's pool, when others can reach it too. */
  readonly sharedPool: string | null;
}

type HeededContext = Pick<ServiceContext, 'metadata' | 'node' | 'goneNodes' | 'monotonicMs'>;

export const NO_NOTICES: SentNotices = { noticeIds: [], onlyNode: null, gone: [], sharedPool: null };

/** How often to look whether notices were heeded. */
const POLL_MS = 50;

/**
 * Tells the other nodes that can reach a drive that they are to look at it, as part of the transaction that changes
 * it: the node that its pool belongs to or, when that is nobody's, every node. One that has been away for a time finds
 * the notice when it is back; one that starts anew has nothing left to end.
 */
export async function noticeNodes(
  { node: self, newUuid }: Pick<ServiceContext, 'node' | 'newUuid'>,
  tx: MetadataTransaction,
  { driveId, poolName }: Pick<Drive, 'driveId' | 'poolName'>,
): Promise<SentNotices> {
  const pool = (await tx.nodes.listPools()).find((each) => each.poolName === poolName);
  if (pool?.nodeId === self.nodeId) return NO_NOTICES;
  const others = (await tx.nodes.list()).filter(({ nodeId }) => nodeId !== self.nodeId);
  const onlyNode = others.find(({ nodeId }) => nodeId === pool?.nodeId) ?? null;
  const reaching = onlyNode === null ? others : [onlyNode];
  const gone = reaching.filter((other) => self.takesForGone(other));
  const noticed = onlyNode === null ? others.filter((each) => !gone.includes(each)) : [onlyNode];
  const notices = noticed.map(({ nodeId }) => ({ noticeId: newUuid(), nodeId, driveId }));
  for (const notice of notices) await tx.notices.put(notice);
  const sharedPool = onlyNode === null ? poolName : null;
  return { noticeIds: notices.map(({ noticeId }) => noticeId), onlyNode, gone, sharedPool };
}

/** Throws DriveError system when the one node that can reach the drive is gone: nobody knows what it still does. */
export function refuseGone(driveId: string, { onlyNode, gone }: SentNotices): void {
  if (onlyNode !== null && gone.length > 0) throw isAway(driveId, onlyNode);
}

/**
 * Returns when all nodes have done what the notices ask of them. A node that is gone, or is gone meanwhile, has given up what
 * others can take over, and is kept from what it may still have under way. So is one that is there but has not done it for as
 * long: what it waits for hangs in a pool that only others can reach.
 *
 * @throws DriveError system when the one node that can reach the drive is gone meanwhile, or the pool is inactive
 */
export async function untilHeeded(
  { metadata, node: self, goneNodes, monotonicMs }: HeededContext,
  driveId: string,
  { noticeIds, onlyNode, gone, sharedPool }: SentNotices,
): Promise<void> {
  const lateAtMs = monotonicMs() + NODE_GONE_MS;
  for (;;) {
    const open = await listOpen({ metadata, goneNodes }, noticeIds);
    const there = open.filter(({ node }) => !self.takesForGone(node));
    if (onlyNode !== null && there.length < open.length) throw isAway(driveId, onlyNode);
    const awaited = there.filter(({ nodeId }) => sharedPool === null || !goneNodes.hanging.has(nodeId));
    const isLate = sharedPool !== null && monotonicMs() >= lateAtMs;
    if (isLate) for (const { nodeId, noticeId } of awaited) goneNodes.hanging.set(nodeId, noticeId);
    if (isLate || awaited.length === 0) {
      if (sharedPool !== null)
        await goneNodes.fence(sharedPool, [...gone, ...(await silentNodes(metadata, open))]);
      return;
    }
    await new Promise((resolve) => {
      setTimeout(resolve, POLL_MS);
    });
  }
}

/** Those of the notices that were not heeded yet. A node that has heeded what it was late with hangs no longer. */
async function listOpen(
  { metadata, goneNodes: { hanging } }: Pick<ServiceContext, 'metadata' | 'goneNodes'>,
  noticeIds: readonly string[],
): Promise<readonly OpenNotice[]> {
  const late = [...hanging];
  const open = await metadata.notices.listOpen([...noticeIds, ...late.map(([, noticeId]) => noticeId)]);
  for (const [nodeId, lateId] of late) {
    if (!open.some(({ noticeId }) => noticeId === lateId)) hanging.delete(nodeId);
  }
  return open.filter(({ noticeId }) => noticeIds.includes(noticeId));
}

/**
 * Returns once no other node does anything with a drive that its claims do not cover, and none that is gone can have anything
 * under way for it. For when a server comes to this node that may come from one which was killed.
 *
 * @throws DriveError system when one cannot be kept out
 */
export async function untilOthersAreInLine(
  context: HeededContext & Pick<ServiceContext, 'newUuid' | 'poolOwners' | 'mayHaveOtherNodes'>,
  drive: Pick<Drive, 'driveId' | 'poolName'>,
): Promise<void> {
  if (!context.mayHaveOtherNodes || context.poolOwners.ownerOf(drive.poolName) !== null) return;
  const sent = await context.metadata.transaction((tx) => noticeNodes(context, tx, drive));
  await untilHeeded(context, drive.driveId, sent);
}

/** The nodes that have not heeded these notices. */
async function silentNodes(
  { nodes }: Pick<MetadataStore, 'nodes'>,
  open: readonly { readonly nodeId: string }[],
): Promise<readonly Node[]> {
  if (open.length === 0) return [];
  return (await nodes.list()).filter((node) => open.some(({ nodeId }) => nodeId === node.nodeId));
}

function isAway(driveId: string, node: Node): DriveError {
  return new DriveError(
    'system',
    `Drive ${driveId} is with ${nodeName(node)}, which has not been heard of: whether servers still use it is not known. ` +
      'Start that node, or end it for good and start another with its disks.',
    { drive: driveId, node: node.nodeId },
  );
}
