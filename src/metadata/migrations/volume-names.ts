import type { Kysely } from 'kysely';
import type { Migration } from 'kysely/migration';
import type { ColumnTypes } from './column-types.ts';

/** Volumes that have other names than their drives. */
export function volumeNames({ text }: ColumnTypes): Migration {
  return {
    async up(db: Kysely<unknown>) {
      await db.schema.alterTable('drives').addColumn('volume_name', text).execute();
      await db.schema.alterTable('stray_volumes').renameColumn('drive_id', 'volume_name').execute();
    },
  };
}
