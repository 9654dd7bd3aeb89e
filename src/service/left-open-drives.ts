import type { Drive } from '../core/drive.ts';
import { LEFT_OPEN_MS, MAX_LEFT_OPEN } from './limits.ts';
import type { ServiceContext } from './service-context.ts';

/**
 * Drives that may be open past Drivebay though their claim has ended, because the cluster was away then, or the node has died.
 * Whoever is at it has time for that, and each node waits for a time of its own: two had better not do it at once.
 */
export interface LeftOpenDrives {
  /** Those for which it is this node's turn now, each once in a while. */
  listDue(): Promise<readonly string[]>;
}

export function createLeftOpenDrives({
  metadata,
  pools,
  monotonicMs,
  randomBytes,
}: Pick<ServiceContext, 'metadata' | 'pools' | 'monotonicMs' | 'randomBytes'>): LeftOpenDrives {
  const dueAtMs = new Map<string, number>();

  function isDue({ driveId, poolName }: Pick<Drive, 'driveId' | 'poolName'>, nowMs: number): boolean {
    const atMs = dueAtMs.get(driveId);
    if (atMs !== undefined && nowMs < atMs) return false;
    const share = Buffer.from(randomBytes(1)).readUInt8() / 256;
    dueAtMs.set(driveId, nowMs + LEFT_OPEN_MS * (1 + share));
    return atMs !== undefined && pools.statusOf(poolName).isActive;
  }

  return {
    async listDue() {
      const left = await metadata.claims.listLeftOpen(MAX_LEFT_OPEN);
      const leftIds = new Set(left.map(({ driveId }) => driveId));
      for (const driveId of dueAtMs.keys()) if (!leftIds.has(driveId)) dueAtMs.delete(driveId);
      const nowMs = monotonicMs();
      return left.filter((drive) => isDue(drive, nowMs)).map(({ driveId }) => driveId);
    },
  };
}
