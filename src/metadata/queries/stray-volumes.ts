import type { Kysely } from 'kysely';
import type { StrayVolume, StrayVolumeStore } from '../metadata-store.ts';
import type { Schema } from '../schema.ts';

export function createStrayVolumeStore(db: Kysely<Schema>): StrayVolumeStore {
  const selectOne = ({ volumeName, poolName }: StrayVolume) =>
    db
      .selectFrom('stray_volumes')
      .select('volume_name')
      .where('pool_name', '=', poolName)
      .where('volume_name', '=', volumeName);
  return {
    async list(poolName, { after, limit }) {
      const rows = await db
        .selectFrom('stray_volumes')
        .select('volume_name')
        .where('pool_name', '=', poolName)
        .where('volume_name', '>', after ?? '')
        .orderBy('volume_name')
        .limit(limit)
        .execute();
      return rows.map((row) => ({ volumeName: row.volume_name, poolName }));
    },
    has: async (volume) => (await selectOne(volume).executeTakeFirst()) !== undefined,
    async insert({ volumeName, poolName }) {
      await db
        .insertInto('stray_volumes')
        .values({ pool_name: poolName, volume_name: volumeName })
        .onConflict((conflict) => conflict.columns(['pool_name', 'volume_name']).doNothing())
        .execute();
    },
    async remove({ volumeName, poolName }) {
      await db
        .deleteFrom('stray_volumes')
        .where('pool_name', '=', poolName)
        .where('volume_name', '=', volumeName)
        .execute();
    },
  };
}
