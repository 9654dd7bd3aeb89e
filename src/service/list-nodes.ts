import { timeText } from '../core/claim.ts';
import type { Info } from './service.ts';
import type { ServiceContext } from './service-context.ts';

/** Every node of the installation that was heard of in the last days. */
export async function listNodes({
  metadata,
  node: self,
}: Pick<ServiceContext, 'metadata' | 'node'>): Promise<readonly Info[]> {
  const nodes = await metadata.nodes.list();
  return nodes.map((node) => ({
    node: node.nodeId,
    host: node.host,
    address: node.address,
    version: node.version,
    // Who answers is there, and with SQLite it gives no other sign of life.
    state: node.nodeId === self.nodeId ? self.state : node.state,
    started: timeText(node.startedAtMs),
    heartbeat: timeText(node.heartbeatAtMs),
  }));
}
