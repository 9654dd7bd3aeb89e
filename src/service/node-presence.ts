import { DriveError } from '../core/errors.ts';
import { NODE_APART_MS, NODE_FENCE_MS, NODE_GRACE_MS, nodeName } from '../core/node.ts';
import type { Node, NodeState } from '../core/node.ts';
import type { MetadataStore } from '../metadata/metadata-store.ts';

/** What a node says of itself. */
export type NodeDescription = Pick<Node, 'nodeId' | 'host' | 'address' | 'version' | 'nbd'>;

/** This node, as the other nodes of its installation see it. */
export interface NodePresence {
  readonly nodeId: string;
  readonly state: NodeState;
  /** Whether it may be taken to be gone soon: it must not touch any more what other nodes can reach as well. */
  readonly isFenced: boolean;
  /**
   * Whether another node is gone, as far as this one can tell. What it has not heard of is not, as long as it was cut off
   * itself a moment ago or has only just begun: what has cut it off may have cut off the other too, which is back as well.
   */
  takesForGone(other: Pick<Node, 'state' | 'hasEnded'>): boolean;
  /** Milliseconds since 1970 by the database's clock, nearly: what nodes decide by time they decide by this. */
  nowMs(): number;
  /** Tells everybody where this node can be reached. */
  announce(listening: Pick<Node, 'address' | 'nbd'>): Promise<void>;
  /** Tells everybody that this node is there. */
  beat(): Promise<void>;
  /** From now on the node takes nothing new: it is being stopped. */
  drain(): Promise<void>;
  /** Says goodbye, so that nobody waits for the node to be found gone. */
  end(): Promise<void>;
}

/** An answer that took longer says too little of the time that it was given at. */
const MAX_SAMPLE_MS = 500;

/** Nodes that were not heard of for this long are forgotten. */
const FORGOTTEN_MS = 7 * 24 * 3_600_000;

export interface RegisterNodeOptions {
  readonly metadata: MetadataStore;
  readonly description: NodeDescription;
  /** Whether there can be no others: then nobody needs a sign of life of it. */
  readonly isAlone: boolean;
  readonly clock: { readonly nowMs: () => number; readonly monotonicMs: () => number };
}

/**
 * Takes note of this node in the metadata.
 *
 * @throws DriveError busy when another machine runs a node of the same UUID, with a copy of the data directory
 */
export async function registerNode({
  metadata,
  description,
  isAlone,
  clock,
}: RegisterNodeOptions): Promise<NodePresence> {
  const { nodeId } = description;
  let heardOfAtMs = clock.monotonicMs();
  /** Since when it was never apart for long. */
  let inTouchSinceMs = heardOfAtMs;
  let offsetMs = 0;
  let described = description;
  let state: NodeState = 'up';
  await metadata.transaction(async (tx) => {
    await refuseTwin(await tx.nodes.list(), description);
    await tx.nodes.removeUnheard(FORGOTTEN_MS);
    await tx.nodes.register(description);
  });

  async function beat(): Promise<void> {
    // It counts from before the transaction, however long that takes.
    const startedAtMs = clock.monotonicMs();
    const fromMs = clock.nowMs();
    const beatAtMs = await metadata.transaction((tx) => tx.nodes.beat(nodeId, state));
    // It may have been away for so long that it has been forgotten.
    if (beatAtMs === null) await metadata.transaction((tx) => tx.nodes.register(described));
    if (startedAtMs - heardOfAtMs > NODE_APART_MS) inTouchSinceMs = clock.monotonicMs();
    heardOfAtMs = startedAtMs;
    const toMs = clock.nowMs();
    const isQuick = toMs - fromMs >= 0 && toMs - fromMs < MAX_SAMPLE_MS;
    if (beatAtMs !== null && isQuick) offsetMs = beatAtMs - (fromMs + toMs) / 2;
  }

  /** Whether it has been in touch for so long that it would have heard of the others. */
  function isSure(): boolean {
    const nowMs = clock.monotonicMs();
    return nowMs - heardOfAtMs <= NODE_APART_MS && nowMs - inTouchSinceMs >= NODE_GRACE_MS;
  }

  async function become(next: NodeState): Promise<void> {
    state = next;
    await beat();
  }

  await beat();
  return {
    nodeId,
    get state() {
      return state;
    },
    get isFenced() {
      return !isAlone && clock.monotonicMs() - heardOfAtMs > NODE_FENCE_MS;
    },
    takesForGone: (other) => other.state === 'gone' && (other.hasEnded || isAlone || isSure()),
    nowMs: () => Math.round(clock.nowMs() + offsetMs),
    async announce(listening) {
      described = { ...description, ...listening };
      await metadata.transaction((tx) => tx.nodes.register(described));
    },
    beat,
    drain: () => become('draining'),
    end: () => become('gone'),
  };
}

/** A node that was killed and starts again on its machine is the same one; the lock of its data directory sees to that. */
async function refuseTwin(nodes: readonly Node[], { nodeId, host }: NodeDescription): Promise<void> {
  const twin = nodes.find((node) => node.nodeId === nodeId && node.host !== host && node.state !== 'gone');
  if (twin === undefined) return;
  throw new DriveError(
    'busy',
    `This data directory is that of ${nodeName(twin)}, which was running a moment ago: nodes need a data directory ` +
      'each. If it was copied, remove node-id from the copy; if it was moved here, start again in a minute.',
    { node: nodeId },
  );
}
