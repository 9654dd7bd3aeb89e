import type { Kysely } from 'kysely';
import type { SettingStore } from '../metadata-store.ts';
import type { Schema } from '../schema.ts';

export function createSettingStore(db: Kysely<Schema>): SettingStore {
  return {
    async get(key) {
      const query = db.selectFrom('settings').select('value').where('key', '=', key);
      return (await query.executeTakeFirst())?.value ?? null;
    },
    async set(key, value) {
      await db
        .insertInto('settings')
        .values({ key, value })
        .onConflict((conflict) => conflict.column('key').doUpdateSet({ value }))
        .execute();
    },
    async remove(key) {
      await db.deleteFrom('settings').where('key', '=', key).execute();
    },
  };
}
