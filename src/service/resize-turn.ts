import type { Drive } from '../core/drive.ts';
import { DriveError } from '../core/errors.ts';
import type { Node } from '../core/node.ts';
import type { StoredVolume } from '../data-workers/volume.ts';
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

/** The turn of a node with a drive's size, or with a volume that is to be removed. */
export interface Turn {
  /** In which it was taken: what is asked of the volume in this turn must not be done in the next life; see `poolLife`. */
  readonly life: number;
  /**
   * To be asked in every transaction that changes what the turn is about.
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
  work: (turn: Turn) => Promise<Result>,
): Promise<Result> {
  const { driveId, poolName } = drive;
  const subject = { name: `resizing ${driveId}`, poolName, what: `drive ${driveId}`, done: 'resized' };
  return await context.resizing.run(driveId, () => inTurn(context, subject, work));
}

/**
 * Has one removal of a volume that a drive has left done at a time, in the same way: once it is removed the drive may come back,
 * and who has not noticed must not remove it then. One at a time in this process is for the caller to see to.
 *
 * @throws DriveError busy when another node has not ended its removal for a long time
 */
export async function inRemovalTurn<Result>(
  context: TurnContext,
  { volumeName, poolName }: StoredVolume,
  work: (turn: Turn) => Promise<Result>,
): Promise<Result> {
  const name = `removing ${poolName} ${volumeName}`;
  const subject = { name, poolName, what: `volume ${volumeName} in pool ${poolName}`, done: 'removed' };
  return await inTurn(context, subject, work);
}

/** What one node at a time may do something with, in a pool that others reach too. */
interface Subject {
  /** In the database; no other has it. */
  readonly name: string;
  readonly poolName: string;
  /** For sentences. */
  readonly what: string;
  readonly done: string;
}

async function inTurn<Result>(
  context: TurnContext,
  subject: Subject,
  work: (turn: Turn) => Promise<Result>,
): Promise<Result> {
  const { mayHaveOtherNodes, poolOwners } = context;
  const life = context.poolLife();
  const isShared = mayHaveOtherNodes && poolOwners.ownerOf(subject.poolName) === null;
  if (!isShared) return await work({ life, check: () => Promise.resolve() });
  try {
    await take(context, subject);
    return await work({ life, check: (tx) => checkInside(context, tx, subject) });
  } finally {
    await giveBack(context, subject);
  }
}

async function take(context: TurnContext, subject: Subject): Promise<void> {
  const untilMs = context.monotonicMs() + RESIZE_WAIT_MS;
  for (;;) {
    const { gone, busy } = await context.metadata.transaction((tx) => takeInside(context, tx, subject));
    if (gone !== null) await context.goneNodes.fence(subject.poolName, [gone]);
    if (busy === null) return;
    if (context.monotonicMs() > untilMs) throw isTaken(subject, busy);
    await pause(POLL_MS);
  }
}

/** Takes the turn unless another node is busy with it. One that is gone loses it. */
async function takeInside(
  { node: self }: TurnContext,
  tx: MetadataTransaction,
  { name }: Subject,
): Promise<{ gone: Node | null; busy: Node | null }> {
  const held = await tx.settings.get(name);
  const nodes = await tx.nodes.list();
  // What this node has left there is of an earlier life: it does one of a name at a time.
  const holder = nodes.find((node) => node.nodeId !== self.nodeId && lifeOf(node) === held) ?? null;
  if (holder !== null && !self.takesForGone(holder)) return { gone: null, busy: holder };
  const own = nodes.find(({ nodeId }) => nodeId === self.nodeId);
  if (own !== undefined) await tx.settings.set(name, lifeOf(own));
  return { gone: holder, busy: null };
}

/** Tried for some time while the database is away; after that the turn ends with this life of the node. */
async function giveBack(context: TurnContext, subject: Subject): Promise<void> {
  const untilMs = context.monotonicMs() + RESIZE_WAIT_MS;
  for (;;) {
    try {
      await context.metadata.transaction((tx) => giveBackInside(context, tx, subject));
      return;
    } catch (error) {
      context.reportFailure(error, `ending the turn ${subject.name}`);
      if (context.monotonicMs() > untilMs) return;
      await pause(RETRY_MS);
    }
  }
}

async function giveBackInside(
  context: TurnContext,
  tx: MetadataTransaction,
  subject: Subject,
): Promise<void> {
  if (await hasTurn(context, tx, subject)) await tx.settings.remove(subject.name);
}

async function checkInside(context: TurnContext, tx: MetadataTransaction, subject: Subject): Promise<void> {
  if (await hasTurn(context, tx, subject)) return;
  const { what, done, poolName } = subject;
  const sentence = `Another node may have ${done} ${what} meanwhile, since this one was not heard of: try again.`;
  throw new DriveError('system', sentence, { pool: poolName });
}

/** A node that was taken to be gone meanwhile has lost its turn to another. */
async function hasTurn(
  { node: self }: TurnContext,
  tx: MetadataTransaction,
  { name }: Subject,
): Promise<boolean> {
  const held = await tx.settings.get(name);
  return held?.startsWith(`${self.nodeId} `) === true;
}

function isTaken({ what, done, poolName }: Subject, { nodeId }: Node): DriveError {
  const sentence = `Another node, ${nodeId}, has not ${done} ${what} yet: try again later.`;
  return new DriveError('busy', sentence, { pool: poolName, node: nodeId });
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
