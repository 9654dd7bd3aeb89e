import type { Drive } from '../core/drive.ts';
import { DriveError } from '../core/errors.ts';
import type { Node } from '../core/node.ts';
import type { MetadataTransaction } from '../metadata/metadata-store.ts';
import { RESIZE_WAIT_MS } from './limits.ts';
import type { ServiceContext } from './service-context.ts';

type TurnContext = Pick<
  ServiceContext,
  | 'metadata'
  | 'node'
  | 'goneNodes'
  | 'poolOwners'
  | 'mayHaveOtherNodes'
  | 'resizing'
  | 'poolLife'
  | 'monotonicMs'
  | 'reportFailure'
>;

/** The turn of a node with a drive's size. */
export interface ResizeTurn {
  /** In which it was taken: what is asked of the volume in this turn must not be done in the next life; see `poolLife`. */
  readonly life: number;
  /**
   * To be asked in every transaction that changes the size.
   *
   * @throws DriveError system when another node has the turn by now: this one was taken to be gone
   */
  check(tx: MetadataTransaction): Promise<void>;
}

/** How often to look whether another node is done. */
const POLL_MS = 100;
/** How long to wait before the end of a turn is told again to a database that was away. */
const RETRY_MS = 1_000;

/**
 * Has one resize of a drive done at a time, by whatever nodes they are asked of: a resize changes the volume and the
 * metadata one after the other, and what it has found must be true until both are done. A node that is gone is kept out of the pool
 * before another resizes what it may be resizing.
 *
 * @throws DriveError busy when another node has not ended its resize for a long time
 */
export async function inResizeTurn<Result>(
  context: TurnContext,
  drive: Pick<Drive, 'driveId' | 'poolName'>,
  work: (turn: ResizeTurn) => Promise<Result>,
): Promise<Result> {
  const { mayHaveOtherNodes, poolOwners, resizing, poolLife } = context;
  const isShared = mayHaveOtherNodes && poolOwners.ownerOf(drive.poolName) === null;
  return await resizing.run(drive.driveId, async () => {
    const life = poolLife();
    if (!isShared) return await work({ life, check: () => Promise.resolve() });
    try {
      await take(context, drive);
      return await work({ life, check: (tx) => checkInside(context, tx, drive.driveId) });
    } finally {
      await giveBack(context, drive.driveId);
    }
  });
}

async function take(
  context: TurnContext,
  { driveId, poolName }: Pick<Drive, 'driveId' | 'poolName'>,
): Promise<void> {
  const untilMs = context.monotonicMs() + RESIZE_WAIT_MS;
  for (;;) {
    const { gone, busy } = await context.metadata.transaction((tx) => takeInside(context, tx, driveId));
    if (gone !== null) await context.goneNodes.fence(poolName, [gone]);
    if (busy === null) return;
    if (context.monotonicMs() > untilMs) throw isTaken(driveId, busy);
    await pause(POLL_MS);
  }
}

/** Takes the turn unless another node is busy with it. One that is gone loses it. */
async function takeInside(
  { node: self }: TurnContext,
  tx: MetadataTransaction,
  driveId: string,
): Promise<{ gone: Node | null; busy: Node | null }> {
  const held = await tx.settings.get(keyOf(driveId));
  const nodes = await tx.nodes.list();
  // What this node has left there is of an earlier life: it does one resize of a drive at a time.
  const holder = nodes.find((node) => node.nodeId !== self.nodeId && lifeOf(node) === held) ?? null;
  if (holder !== null && !self.takesForGone(holder)) return { gone: null, busy: holder };
  const own = nodes.find(({ nodeId }) => nodeId === self.nodeId);
  if (own !== undefined) await tx.settings.set(keyOf(driveId), lifeOf(own));
  return { gone: holder, busy: null };
}

/** Tried for some time while the database is away; after that the turn ends with this life of the node. */
async function giveBack(context: TurnContext, driveId: string): Promise<void> {
  const untilMs = context.monotonicMs() + RESIZE_WAIT_MS;
  for (;;) {
    try {
      await context.metadata.transaction((tx) => giveBackInside(context, tx, driveId));
      return;
    } catch (error) {
      context.reportFailure(error, `ending the resize of drive ${driveId}`);
      if (context.monotonicMs() > untilMs) return;
      await pause(RETRY_MS);
    }
  }
}

async function giveBackInside(context: TurnContext, tx: MetadataTransaction, driveId: string): Promise<void> {
  if (await hasTurn(context, tx, driveId)) await tx.settings.remove(keyOf(driveId));
}

async function checkInside(context: TurnContext, tx: MetadataTransaction, driveId: string): Promise<void> {
  if (await hasTurn(context, tx, driveId)) return;
  const sentence = `Another node may have resized drive ${driveId} meanwhile, since this one was not heard of: try again.`;
  throw new DriveError('system', sentence, { drive: driveId });
}

/** A node that was taken to be gone meanwhile has lost its turn to another. */
async function hasTurn(
  { node: self }: TurnContext,
  tx: MetadataTransaction,
  driveId: string,
): Promise<boolean> {
  const held = await tx.settings.get(keyOf(driveId));
  return held?.startsWith(`${self.nodeId} `) === true;
}

function isTaken(driveId: string, { nodeId }: Node): DriveError {
  const sentence = `Drive ${driveId} is still being resized through another node, ${nodeId}.`;
  return new DriveError('busy', sentence, { drive: driveId, node: nodeId });
}

function keyOf(driveId: string): string {
  return `resizing ${driveId}`;
}

/** A node that starts anew does nothing of what it did before. */
function lifeOf({ nodeId, startedAtMs }: Node): string {
  return `${nodeId} ${startedAtMs}`;
}

async function pause(delayMs: number): Promise<void> {
  await new Promise((resolve) => {
    setTimeout(resolve, delayMs);
  });
}
