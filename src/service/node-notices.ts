import type { Drive } from '../core/drive.ts';
import { DriveError } from '../core/errors.ts';
import { nodeName } from '../core/node.ts';
import type { Node } from '../core/node.ts';
import type { MetadataTransaction } from '../metadata/metadata-store.ts';
import type { ServiceContext } from './service-context.ts';

/** What other nodes were told of a drive. */
export interface SentNotices {
  readonly noticeIds: readonly string[];
  /** The one node that can reach the drive, which is another one; null when several can, or this one alone. */
  readonly onlyNode: Node | null;
}

export const NO_NOTICES: SentNotices = { noticeIds: [], onlyNode: null };

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
  const noticed = onlyNode === null ? others.filter(({ state }) => state !== 'gone') : [onlyNode];
  const notices = noticed.map(({ nodeId }) => ({ noticeId: newUuid(), nodeId, driveId }));
  for (const notice of notices) await tx.notices.put(notice);
  return { noticeIds: notices.map(({ noticeId }) => noticeId), onlyNode };
}

/** Throws DriveError system when the one node that can reach the drive is gone: nobody knows what it still does. */
export function refuseGone(driveId: string, { onlyNode }: SentNotices): void {
  if (onlyNode?.state === 'gone') throw gone(driveId, onlyNode);
}

/**
 * Returns when all nodes have done what the notices ask of them. A node that is gone meanwhile has given up what others can
 * take over.
 *
 * @throws DriveError system when the one node that can reach the drive is gone meanwhile
 */
export async function untilHeeded(
  { metadata }: Pick<ServiceContext, 'metadata'>,
  driveId: string,
  { noticeIds, onlyNode }: SentNotices,
): Promise<void> {
  for (;;) {
    const open = await metadata.notices.listOpen(noticeIds);
    const isGone = open.some(({ nodeState }) => nodeState === 'gone');
    if (isGone && onlyNode !== null) throw gone(driveId, onlyNode);
    if (open.every(({ nodeState }) => nodeState === 'gone')) return;
    await new Promise((resolve) => {
      setTimeout(resolve, POLL_MS);
    });
  }
}

function gone(driveId: string, node: Node): DriveError {
  return new DriveError(
    'system',
    `Drive ${driveId} is with ${nodeName(node)}, which has not been heard of: whether servers still use it is not known. ` +
      'Start that node, or end it for good and start another with its disks.',
    { drive: driveId, node: node.nodeId },
  );
}
