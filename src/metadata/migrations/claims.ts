import { sql } from 'kysely';
import type { Kysely } from 'kysely';
import type { Migration } from 'kysely/migration';
import type { ColumnTypes } from './column-types.ts';

/** Claims of servers on drives, and the limits of their I/O. */
export function claims(types: ColumnTypes): Migration {
  return {
    async up(db: Kysely<unknown>) {
      await addDriveColumns(db, types);
      await createClaims(db, types);
    },
  };
}

async function addDriveColumns(db: Kysely<unknown>, { integer }: ColumnTypes): Promise<void> {
  // With the drive and not with its claims, because it goes on growing when there are none.
  await db.schema
    .alterTable('drives')
    .addColumn('last_epoch', integer, (column) => column.notNull().defaultTo(sql.lit(0)))
    .execute();
  for (const name of ['limit_iops', 'limit_iops_burst', 'limit_bytes', 'limit_bytes_burst']) {
    await db.schema.alterTable('drives').addColumn(name, integer).execute();
  }
}

async function createClaims(
  db: Kysely<unknown>,
  { text, integer, bytes, keyedTableEnd }: ColumnTypes,
): Promise<void> {
  await db.schema
    .createTable('claims')
    .addColumn('drive_id', text, (column) =>
      column.notNull().references('drives.drive_id').onDelete('cascade'),
    )
    .addColumn('server_id', text, (column) => column.notNull())
    .addColumn('access', text, (column) => column.notNull())
    .addColumn('epoch', integer, (column) => column.notNull())
    .addColumn('secret_hash', bytes, (column) => column.notNull())
    .addColumn('claimed_at_ms', integer, (column) => column.notNull())
    .addColumn('lease_ms', integer)
    .addColumn('expires_at_ms', integer)
    .addPrimaryKeyConstraint('claims_key', ['drive_id', 'server_id'])
    .modifyEnd(keyedTableEnd)
    .execute();
  await db.schema
    .createIndex('claims_by_epoch')
    .on('claims')
    .unique()
    .columns(['drive_id', 'epoch'])
    .execute();
  await db.schema.createIndex('claims_by_secret').on('claims').unique().columns(['secret_hash']).execute();
  // Only leased claims can expire, so only they are in the index.
  await db.schema
    .createIndex('claims_by_expiry')
    .on('claims')
    .columns(['expires_at_ms', 'drive_id'])
    .where(sql.ref('expires_at_ms'), 'is not', null)
    .execute();
}
