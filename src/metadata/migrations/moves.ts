import type { Kysely } from 'kysely';
import type { Migration } from 'kysely/migration';
import type { ColumnTypes } from './column-types.ts';

/** Moves of drives between pools, what they leave behind, and which drives must stay apart. */
export function moves(types: ColumnTypes): Migration {
  return {
    async up(db: Kysely<unknown>) {
      await createAvoidedDrives(db, types);
      await createDriveMoves(db, types);
      await createStrayVolumes(db, types);
    },
  };
}

async function createAvoidedDrives(db: Kysely<unknown>, { text, keyedTableEnd }: ColumnTypes): Promise<void> {
  await db.schema
    .createTable('avoided_drives')
    .addColumn('drive_id', text, (column) =>
      column.notNull().references('drives.drive_id').onDelete('cascade'),
    )
    .addColumn('avoided_id', text, (column) =>
      column.notNull().references('drives.drive_id').onDelete('cascade'),
    )
    .addPrimaryKeyConstraint('avoided_drives_key', ['drive_id', 'avoided_id'])
    .modifyEnd(keyedTableEnd)
    .execute();
  await db.schema
    .createIndex('avoided_drives_by_avoided')
    .on('avoided_drives')
    .columns(['avoided_id', 'drive_id'])
    .execute();
}

async function createDriveMoves(db: Kysely<unknown>, types: ColumnTypes): Promise<void> {
  const { text, integer } = types;
  await db.schema
    .createTable('drive_moves')
    .addColumn('position', integer, types.numbered)
    .addColumn('drive_id', text, (column) =>
      column.notNull().unique().references('drives.drive_id').onDelete('cascade'),
    )
    .addColumn('pool_name', text, (column) => column.notNull())
    .addColumn('tier', text)
    .addColumn('state', text, (column) => column.notNull())
    .addColumn('error', text)
    .addColumn('done_bytes', integer, (column) => column.notNull())
    .addColumn('total_bytes', integer, (column) => column.notNull())
    .addColumn('created_at_ms', integer, (column) => column.notNull())
    .modifyEnd(types.numberedTableEnd)
    .execute();
}

async function createStrayVolumes(db: Kysely<unknown>, { text, keyedTableEnd }: ColumnTypes): Promise<void> {
  await db.schema
    .createTable('stray_volumes')
    .addColumn('pool_name', text, (column) => column.notNull())
    // Not a reference: the volume outlives its drive.
    .addColumn('drive_id', text, (column) => column.notNull())
    .addPrimaryKeyConstraint('stray_volumes_key', ['pool_name', 'drive_id'])
    .modifyEnd(keyedTableEnd)
    .execute();
}
