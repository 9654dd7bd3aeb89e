import type { Kysely } from 'kysely';
import type { Migration } from 'kysely/migration';
import type { ColumnTypes } from './column-types.ts';

/** The nodes that use the database, the pools that only one of them can reach, and what they tell each other. */
export function nodes(types: ColumnTypes): Migration {
  return {
    async up(db: Kysely<unknown>) {
      await createNodes(db, types);
      await createPools(db, types);
      await createNotices(db, types);
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
    .addColumn('nbd', text)
    .addColumn('state', text, (column) => column.notNull())
    .addColumn('started_at_ms', integer, (column) => column.notNull())
    .addColumn('heartbeat_at_ms', integer, (column) => column.notNull())
    .modifyEnd(keyedTableEnd)
    .execute();
}

async function createPools(db: Kysely<unknown>, { text, keyedTableEnd }: ColumnTypes): Promise<void> {
  await db.schema
    .createTable('pools')
    .addColumn('pool_name', text, (column) => column.primaryKey().notNull())
    .addColumn('node_id', text, (column) => column.notNull().references('nodes.node_id'))
    .addColumn('domain', text, (column) => column.notNull())
    .modifyEnd(keyedTableEnd)
    .execute();
}

async function createNotices(db: Kysely<unknown>, { text, keyedTableEnd }: ColumnTypes): Promise<void> {
  await db.schema
    .createTable('notices')
    .addColumn('notice_id', text, (column) => column.primaryKey().notNull())
    .addColumn('node_id', text, (column) => column.notNull().references('nodes.node_id').onDelete('cascade'))
    // Not a reference: a drive may be gone before the node has looked.
    .addColumn('drive_id', text, (column) => column.notNull())
    .modifyEnd(keyedTableEnd)
    .execute();
  await db.schema.createIndex('notices_by_node').on('notices').columns(['node_id']).execute();
}
