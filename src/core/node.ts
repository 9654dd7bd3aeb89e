/** Up serves; draining is being stopped; gone has been stopped, or has not been heard of for too long. */
export type NodeState = 'up' | 'draining' | 'gone';

/** One of the processes that serve the drives of an installation, over the same database. */
export interface Node {
  readonly nodeId: string;
  /** What the machine calls itself. */
  readonly host: string;
  /** HOST:PORT of its HTTP listener. */
  readonly address: string;
  readonly version: string;
  /** Where servers reach its NBD listener for TCP; null when it has none. */
  readonly nbd: NodeNbd | null;
  readonly state: NodeState;
  /** Whether it has said itself that it is gone: nothing of it is under way then. */
  readonly hasEnded: boolean;
  readonly startedAtMs: number;
  /** When it was heard of last. As all times of nodes, by the clock of the database. */
  readonly heartbeatAtMs: number;
  /** What it knows of what nodes agree on; see `NODE_REVISION`. */
  readonly revision: number;
}

/** An NBD listener as others reach it. */
export interface NodeNbd {
  readonly host: string;
  readonly port: number;
  readonly isTls: boolean;
}

/** A pool that only one node can reach, such as a directory on one of its disks. */
export interface NodePool {
  readonly poolName: string;
  readonly nodeId: string;
  /** The failure domain, for drives that are to avoid others in it. */
  readonly domain: string;
}

/** Without a sign of life for this long a node is gone. */
export const NODE_GONE_MS = 15_000;

/**
 * A node that could give no sign of life for this long lets go of all that others may take over when it is gone. What is left until
 * then is for that, and for clocks that do not run alike.
 */
export const NODE_FENCE_MS = 10_000;

/** A node that could give no sign of life for this long may have been cut off together with others, by a database that was away. */
export const NODE_APART_MS = 7_000;

/** For this long such a node takes none to be gone once it is back, so that those which are back as well have been heard of. */
export const NODE_GRACE_MS = 10_000;

/** Of this version. From 1 on a node leaves a move to the node that makes it; before, each made all that it could. */
export const NODE_REVISION = 1;

/** The state at this time of a node that said this of itself when it was heard of last. */
export function nodeStateAt(node: Pick<Node, 'state' | 'heartbeatAtMs'>, nowMs: number): NodeState {
  return nowMs - node.heartbeatAtMs >= NODE_GONE_MS ? 'gone' : node.state;
}

/** A node as sentences name it. */
export function nodeName({ nodeId, host, address }: Pick<Node, 'nodeId' | 'host' | 'address'>): string {
  return `node ${nodeId} on ${host} (${address})`;
}
