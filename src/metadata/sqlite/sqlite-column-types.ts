import { sql } from 'kysely';
import type { ColumnTypes } from '../migrations/column-types.ts';

/** STRICT tables refuse values of another type; WITHOUT ROWID keeps rows in the order of their primary key. */
export const SQLITE_COLUMN_TYPES: ColumnTypes = {
  text: 'text',
  integer: 'integer',
  bytes: 'blob',
  numbered: (column) => column.primaryKey().autoIncrement(),
  keyedTableEnd: sql`strict, without rowid`,
  numberedTableEnd: sql`strict`,
};
