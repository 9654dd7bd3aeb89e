import { sql } from 'kysely';
import type { Kysely } from 'kysely';
import type { Migration } from 'kysely/migration';
import type { ColumnTypes } from './column-types.ts';

/** Under which claim programs reach a drive's volume past Drivebay. */
export function directAttach({ integer }: ColumnTypes): Migration {
  return {
    async up(db: Kysely<unknown>) {
      // With the drive and not with its claims, because the end of the claim is not yet the end of the access.
      await db.schema.alterTable('drives').addColumn('direct_epoch', integer).execute();
      // There are few of them among all drives.
      await db.schema
        .createIndex('drives_by_direct_epoch')
        .on('drives')
        .columns(['direct_epoch'])
        .where(sql.ref('direct_epoch'), 'is not', null)
        .execute();
    },
  };
}
