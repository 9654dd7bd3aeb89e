import { sql } from 'kysely';
import type { Kysely } from 'kysely';
import type { Migration } from 'kysely/migration';
import type { ColumnTypes } from './column-types.ts';

/** Every table of the first version. */
export function initialSchema(types: ColumnTypes): Migration {
  return {
    async up(db: Kysely<unknown>) {
      await createUsers(db, types);
      await createDrives(db, types);
      await createDriveLists(db, types);
      await createDriveKeys(db, types);
      await createIdempotencyKeys(db, types);
      await createImagingJobs(db, types);
      await createSettings(db, types);
    },
  };
}

async function createUsers(
  db: Kysely<unknown>,
  { text, integer, bytes, keyedTableEnd }: ColumnTypes,
): Promise<void> {
  await db.schema
    .createTable('users')
    .addColumn('user_id', text, (column) => column.primaryKey().notNull())
    .addColumn('name', text)
    .addColumn('is_admin', integer, (column) => column.notNull())
    .addColumn('is_disabled', integer, (column) => column.notNull())
    .addColumn('quota_drives', integer)
    .addColumn('quota_bytes', integer)
    .addColumn('created_at_ms', integer, (column) => column.notNull())
    .addColumn('key_hash', bytes, (column) => column.notNull())
    .modifyEnd(keyedTableEnd)
    .execute();
  await db.schema
    .createTable('user_usage')
    .addColumn('user_id', text, (column) => column.primaryKey().notNull().references('users.user_id'))
    .addColumn('drives', integer, (column) => column.notNull().check(sql`drives >= 0`))
    .addColumn('size_bytes', integer, (column) => column.notNull().check(sql`size_bytes >= 0`))
    .modifyEnd(keyedTableEnd)
    .execute();
}

async function createDrives(
  db: Kysely<unknown>,
  { text, integer, keyedTableEnd }: ColumnTypes,
): Promise<void> {
  await db.schema
    .createTable('drives')
    .addColumn('drive_id', text, (column) => column.primaryKey().notNull())
    .addColumn('user_id', text, (column) => column.notNull().references('users.user_id'))
    .addColumn('name', text)
    .addColumn('size_bytes', integer, (column) => column.notNull().check(sql`size_bytes >= 1`))
    .addColumn('claim_type', text, (column) => column.notNull())
    .addColumn('cipher', text, (column) => column.notNull())
    .addColumn('tier', text, (column) => column.notNull())
    .addColumn('pool_name', text, (column) => column.notNull())
    .addColumn('state', text, (column) => column.notNull())
    .addColumn('readers', text, (column) => column.notNull())
    .addColumn('tags', text, (column) => column.notNull())
    .addColumn('attributes', text, (column) => column.notNull())
    .addColumn('imaging_error', text)
    .addColumn('created_at_ms', integer, (column) => column.notNull())
    .modifyEnd(keyedTableEnd)
    .execute();
  await db.schema.createIndex('drives_by_user').on('drives').columns(['user_id', 'drive_id']).execute();
  // With the size, so that the usage of all pools is read from the index alone.
  await db.schema
    .createIndex('drives_by_pool')
    .on('drives')
    .columns(['pool_name', 'drive_id', 'size_bytes'])
    .execute();
  // Nearly every drive is ready: the others are found by an index that holds only them.
  await db.schema
    .createIndex('drives_unsettled')
    .on('drives')
    .columns(['state', 'drive_id'])
    .where(sql.ref('state'), '<>', sql.lit('ready'))
    .execute();
}

async function createDriveLists(
  db: Kysely<unknown>,
  { text, integer, keyedTableEnd }: ColumnTypes,
): Promise<void> {
  await db.schema
    .createTable('drive_counters')
    .addColumn('drive_id', text, (column) =>
      column.primaryKey().notNull().references('drives.drive_id').onDelete('cascade'),
    )
    .addColumn('read_bytes', integer, (column) => column.notNull())
    .addColumn('read_requests', integer, (column) => column.notNull())
    .addColumn('write_bytes', integer, (column) => column.notNull())
    .addColumn('write_requests', integer, (column) => column.notNull())
    .modifyEnd(keyedTableEnd)
    .execute();
  await db.schema
    .createTable('drive_readers')
    .addColumn('drive_id', text, (column) =>
      column.notNull().references('drives.drive_id').onDelete('cascade'),
    )
    .addColumn('user_id', text, (column) => column.notNull())
    .addPrimaryKeyConstraint('drive_readers_key', ['drive_id', 'user_id'])
    .modifyEnd(keyedTableEnd)
    .execute();
  await db.schema
    .createIndex('drive_readers_by_user')
    .on('drive_readers')
    .columns(['user_id', 'drive_id'])
    .execute();
  await db.schema
    .createTable('drive_tags')
    .addColumn('drive_id', text, (column) =>
      column.notNull().references('drives.drive_id').onDelete('cascade'),
    )
    .addColumn('user_id', text, (column) => column.notNull())
    .addColumn('tag', text, (column) => column.notNull())
    .addPrimaryKeyConstraint('drive_tags_key', ['drive_id', 'tag'])
    .modifyEnd(keyedTableEnd)
    .execute();
  await db.schema.createIndex('drive_tags_by_tag').on('drive_tags').columns(['tag', 'drive_id']).execute();
  await db.schema
    .createIndex('drive_tags_by_user')
    .on('drive_tags')
    .columns(['user_id', 'tag', 'drive_id'])
    .execute();
}

async function createDriveKeys(
  db: Kysely<unknown>,
  { text, bytes, keyedTableEnd }: ColumnTypes,
): Promise<void> {
  await db.schema
    .createTable('drive_keys')
    .addColumn('drive_id', text, (column) =>
      column.primaryKey().notNull().references('drives.drive_id').onDelete('cascade'),
    )
    .addColumn('master_key_id', text, (column) => column.notNull())
    .addColumn('volume_key', bytes, (column) => column.notNull())
    .addColumn('passphrase', bytes, (column) => column.notNull())
    .modifyEnd(keyedTableEnd)
    .execute();
}

async function createIdempotencyKeys(
  db: Kysely<unknown>,
  { text, integer, bytes, keyedTableEnd }: ColumnTypes,
): Promise<void> {
  await db.schema
    .createTable('idempotency_keys')
    .addColumn('user_id', text, (column) => column.notNull())
    .addColumn('idempotency_key', text, (column) => column.notNull())
    .addColumn('body_hash', bytes, (column) => column.notNull())
    .addColumn('drive_id', text, (column) =>
      column.notNull().references('drives.drive_id').onDelete('cascade'),
    )
    .addColumn('expires_at_ms', integer, (column) => column.notNull())
    .addPrimaryKeyConstraint('idempotency_keys_key', ['user_id', 'idempotency_key'])
    .modifyEnd(keyedTableEnd)
    .execute();
  await db.schema
    .createIndex('idempotency_keys_by_drive')
    .on('idempotency_keys')
    .columns(['drive_id'])
    .execute();
  await db.schema
    .createIndex('idempotency_keys_by_expiry')
    .on('idempotency_keys')
    .columns(['expires_at_ms'])
    .execute();
}

async function createImagingJobs(db: Kysely<unknown>, types: ColumnTypes): Promise<void> {
  const { text, integer } = types;
  await db.schema
    .createTable('imaging_jobs')
    .addColumn('position', integer, types.numbered)
    .addColumn('job_id', text, (column) => column.notNull().unique())
    .addColumn('target_drive_id', text, (column) =>
      column.notNull().unique().references('drives.drive_id').onDelete('cascade'),
    )
    // Not a reference: a source that all users may read can be destroyed under a job, which then fails by itself.
    .addColumn('source_drive_id', text, (column) => column.notNull())
    .addColumn('conversion', text, (column) => column.notNull())
    .addColumn('state', text, (column) => column.notNull())
    .addColumn('lease_owner', text)
    .addColumn('lease_expires_at_ms', integer)
    .addColumn('checkpoint_bytes', integer)
    .addColumn('done_bytes', integer, (column) => column.notNull())
    .addColumn('total_bytes', integer, (column) => column.notNull())
    .addColumn('created_at_ms', integer, (column) => column.notNull())
    .modifyEnd(types.numberedTableEnd)
    .execute();
  await db.schema
    .createIndex('imaging_jobs_by_source')
    .on('imaging_jobs')
    .columns(['source_drive_id'])
    .execute();
}

async function createSettings(db: Kysely<unknown>, { text, keyedTableEnd }: ColumnTypes): Promise<void> {
  await db.schema
    .createTable('settings')
    .addColumn('key', text, (column) => column.primaryKey().notNull())
    .addColumn('value', text, (column) => column.notNull())
    .modifyEnd(keyedTableEnd)
    .execute();
}
