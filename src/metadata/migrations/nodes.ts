import type { Kysely } from 'kysely';
import type { Migration } from 'kysely/migration';
import type { ColumnTypes } from './column-types.ts';

/** The nodes that use the database. */
export function nodes(types: ColumnTypes): Migration {
  return {
    async up(db: Kysely<unknown>) {
      await createNodes(db, types);
    },
  };
}

async function createNodes(
  db: Kysely<unknown>,
  { text, integer, keyedTableEnd }: ColumnTypes,
): Promise<void> {
  await db.schema
    .createTable('nodes')
    .addColumn('node_id', text, (column) => column.primaryKey().notNull())
    .addColumn('host', text, (column) => column.notNull())
    .addColumn('address', text, (column) => column.notNull())
    .addColumn('version', text, (column) => column.notNull())
    .addColumn('state', text, (column) => column.notNull())
    .addColumn('started_at_ms', integer, (column) => column.notNull())
    .addColumn('heartbeat_at_ms', integer, (column) => column.notNull())
    .modifyEnd(keyedTableEnd)
    .execute();
}
