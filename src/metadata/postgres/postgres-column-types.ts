import { sql } from 'kysely';
import type { ColumnTypes } from '../migrations/column-types.ts';

/** Text is ordered by its bytes, whatever the language of the database: lists of UUIDs are read from indexes in order. */
export const POSTGRES_COLUMN_TYPES: ColumnTypes = {
  text: sql`text collate "C"`,
  integer: 'bigint',
  bytes: 'bytea',
  numbered: (column) => column.primaryKey().generatedAlwaysAsIdentity(),
  keyedTableEnd: sql``,
  numberedTableEnd: sql``,
};
