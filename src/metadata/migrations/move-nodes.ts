import { sql } from 'kysely';
import type { Kysely } from 'kysely';
import type { Migration } from 'kysely/migration';
import type { ColumnTypes } from './column-types.ts';

/** Which node makes a move, and which nodes know that there is such a thing. */
export function moveNodes({ text, integer }: ColumnTypes): Migration {
  return {
    async up(db: Kysely<unknown>) {
      // Not a reference: a move outlives its node, and is then another's.
      await db.schema.alterTable('drive_moves').addColumn('node_id', text).execute();
      await db.schema
        .alterTable('nodes')
        .addColumn('revision', integer, (column) => column.notNull().defaultTo(sql.lit(0)))
        .execute();
    },
  };
}
