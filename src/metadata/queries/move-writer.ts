import type { Kysely } from 'kysely';
import { DriveError } from '../../core/errors.ts';
import type { MoveWriter } from '../metadata-store.ts';
import type { Schema } from '../schema.ts';

export function createMoveWriter(db: Kysely<Schema>): MoveWriter {
  return {
    async insert({ driveId, poolName, tier, totalBytes, createdAtMs, nodeId }) {
      await db
        .deleteFrom('drive_moves')
        .where('drive_id', '=', driveId)
        .where('state', '=', 'failed')
        .execute();
      const { numInsertedOrUpdatedRows } = await db
        .insertInto('drive_moves')
        .values({
          drive_id: driveId,
          pool_name: poolName,
          tier,
          state: 'queued',
          error: null,
          done_bytes: 0,
          total_bytes: totalBytes,
          created_at_ms: createdAtMs,
          node_id: nodeId,
        })
        .onConflict((conflict) => conflict.column('drive_id').doNothing())
        .executeTakeFirstOrThrow();
      if (numInsertedOrUpdatedRows === 0n) {
        throw new DriveError('busy', `Drive ${driveId} is being moved.`, { drive: driveId });
      }
    },
    async progress({ driveId, poolName, nodeId, state, error, doneBytes, totalBytes }) {
      const { numUpdatedRows } = await db
        .updateTable('drive_moves')
        .set({ state, error, done_bytes: doneBytes, total_bytes: totalBytes })
        .where('drive_id', '=', driveId)
        .where('pool_name', '=', poolName)
        .where('node_id', '=', nodeId)
        .where('state', '<>', 'failed')
        .executeTakeFirstOrThrow();
      return numUpdatedRows > 0n;
    },
    async take({ driveId, poolName, fromNodeId, nodeId }) {
      const { numUpdatedRows } = await db
        .updateTable('drive_moves')
        .set({ node_id: nodeId })
        .where('drive_id', '=', driveId)
        .where('pool_name', '=', poolName)
        .where('node_id', fromNodeId === null ? 'is' : '=', fromNodeId)
        .where('state', '<>', 'failed')
        .executeTakeFirstOrThrow();
      return numUpdatedRows > 0n;
    },
    async remove(driveId) {
      await db.deleteFrom('drive_moves').where('drive_id', '=', driveId).execute();
    },
  };
}
