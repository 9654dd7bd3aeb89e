import type { MetadataTransaction } from '../../src/metadata/metadata-store.ts';

/** Registers nodes of these names, as they do when they start. */
export async function registerNodes(
  { nodes }: Pick<MetadataTransaction, 'nodes'>,
  nodeIds: readonly string[],
): Promise<void> {
  for (const nodeId of nodeIds) {
    await nodes.register({ nodeId, host: nodeId, address: `${nodeId}:8600`, version: '1.0.0', nbd: null });
  }
}
