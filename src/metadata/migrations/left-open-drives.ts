import { sql } from 'kysely';
import type { Kysely } from 'kysely';
import type { Migration } from 'kysely/migration';

/** Finds drives that may be reached past Drivebay, few among all of them, so that those whose claim has ended are found. */
export function leftOpenDrives(): Migration {
  return {
    async up(db: Kysely<unknown>) {
      await db.schema
        .createIndex('drives_by_direct_epoch')
        .on('drives')
        .columns(['direct_epoch'])
        .where(sql.ref('direct_epoch'), 'is not', null)
        .execute();
    },
  };
}
