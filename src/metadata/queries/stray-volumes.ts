import type { Kysely } from 'kysely';
import type { StrayVolume, StrayVolumeStore } from '../metadata-store.ts';
import type { Schema } from '../schema.ts';

export function createStrayVolumeStore(db: Kysely<Schema>): StrayVolumeStore {
  const selectOne = ({ driveId, poolName }: StrayVolume) =>
    db
      .selectFrom('stray_volumes')
      .select('drive_id')
      .where('pool_name', '=', poolName)
      .where('drive_id', '=', driveId);
  return {
    async list(poolName, { after, limit }) {
      const rows = await db
        .selectFrom('stray_volumes')
        .select('drive_id')
        .where('pool_name', '=', poolName)
        .where('drive_id', '>', after ?? '')
        .orderBy('drive_id')
        .limit(limit)
        .execute();
      return rows.map((row) => ({ driveId: row.drive_id, poolName }));
    },
    has: async (volume) => (await selectOne(volume).executeTakeFirst()) !== undefined,
    async insert({ driveId, poolName }) {
      await db
        .insertInto('stray_volumes')
        .values({ pool_name: poolName, drive_id: driveId })
        .onConflict((conflict) => conflict.columns(['pool_name', 'drive_id']).doNothing())
        .execute();
    },
    async remove({ driveId, poolName }) {
      await db
        .deleteFrom('stray_volumes')
        .where('pool_name', '=', poolName)
        .where('drive_id', '=', driveId)
        .execute();
    },
  };
}
