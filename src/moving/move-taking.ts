import type { DriveMove } from '../core/move.ts';
import type { Node } from '../core/node.ts';
import type { MovingMetadata } from './moving-metadata.ts';

/** A move that is this node's to make. */
export type OwnMove = DriveMove & { readonly nodeId: string };

/** The node that takes moves over; it knows which others are gone. */
export interface TakingNode {
  readonly nodeId: string;
  takesForGone(other: Pick<Node, 'state' | 'hasEnded'>): boolean;
}

/**
 * Takes a move over from a node that does not go on with it: it is gone, or is being stopped; or one that no node was to make.
 * Of several that try one has it, and what the last one may still do for it is for the caller to end.
 *
 * @returns null when its node goes on with it, or another was faster
 */
export async function takeMove(
  metadata: MovingMetadata,
  move: DriveMove,
  self: TakingNode,
): Promise<OwnMove | null> {
  if (goesOn(await metadata.nodes.list(), move, self)) return null;
  const { nodeId } = self;
  const { driveId, poolName, nodeId: fromNodeId } = move;
  const isTaken = await metadata.transaction(async ({ nodes, moves }) => {
    // It may have come back since.
    if (goesOn(await nodes.list(), move, self)) return false;
    return await moves.take({ driveId, poolName, fromNodeId, nodeId });
  });
  return isTaken ? { ...move, nodeId } : null;
}

/** Whether the move's node is there, and is not being stopped. */
function goesOn(nodes: readonly Node[], move: DriveMove, self: TakingNode): boolean {
  const maker = nodes.find(({ nodeId }) => nodeId === move.nodeId);
  return maker !== undefined && maker.state !== 'draining' && !self.takesForGone(maker);
}
