import type { Librados } from './librados.ts';
import type { RbdHandles } from './rbd-connection.ts';

/** An address is less than this. */
const MAX_ADDRESS_BYTES = 1024;
/** How long a node is kept out; one that is back makes a new connection, which is none of those kept out. */
const FENCE_SECONDS = 24 * 3600;

/**
 * Leaves in the pool where this node's connection comes from, so that other nodes can keep it out. The connection that the
 * node had before is kept out first: its process may have died with requests on their way, which must not arrive after those
 * of this one.
 */
export function registerClient(rados: Librados, handles: RbdHandles, nodeId: string): void {
  fenceNode(rados, handles, nodeId);
  rados.writeObject(handles.pool, objectName(nodeId), Buffer.from(rados.addressOf(handles.cluster)));
}

/**
 * Keeps the connection that a node has now from the whole cluster. When this returns, nothing that this node reads or
 * writes from now on is changed by the other one, whatever that still has under way.
 */
export function fenceNode(rados: Librados, handles: RbdHandles, nodeId: string): void {
  const address = addressOfNode(rados, handles, nodeId);
  // A node that has never been connected has nothing under way.
  if (address !== null) fenceAddress(rados, handles, address);
}

/** Like `fenceNode`, for a client that is no node. */
export function fenceAddress(rados: Librados, { cluster }: RbdHandles, address: string): void {
  rados.blocklist(cluster, address, FENCE_SECONDS);
}

/** Where the connection comes from that a node has now; null when it has never had one. */
export function addressOfNode(rados: Librados, { pool }: RbdHandles, nodeId: string): string | null {
  const address = rados.readObject(pool, objectName(nodeId), MAX_ADDRESS_BYTES);
  return address === null ? null : Buffer.from(address).toString('utf8');
}

function objectName(nodeId: string): string {
  return `drivebay-node-${nodeId}`;
}
