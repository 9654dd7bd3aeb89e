import type { Kysely } from 'kysely';
import type { Migration } from 'kysely/migration';
import type { ColumnTypes } from './column-types.ts';

/** Under which claim programs reach a drive's volume past Drivebay. */
export function directAttach({ integer }: ColumnTypes): Migration {
  return {
    async up(db: Kysely<unknown>) {
      // With the drive and not with its claims, because the end of the claim is not yet the end of the access.
      await db.schema.alterTable('drives').addColumn('direct_epoch', integer).execute();
    },
  };
}
