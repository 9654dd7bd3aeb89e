import type { ColumnDataType, ColumnDefinitionBuilder, Expression } from 'kysely';

/** What a database calls the types that the tables need, so that a migration is written once. */
export interface ColumnTypes {
  readonly text: ColumnDataType | Expression<unknown>;
  /** At least 64 bits. */
  readonly integer: ColumnDataType | Expression<unknown>;
  readonly bytes: ColumnDataType | Expression<unknown>;
  /** Makes a column number itself upwards, never twice the same. */
  readonly numbered: (column: ColumnDefinitionBuilder) => ColumnDefinitionBuilder;
  /** What stands after the columns of a table that is always reached by its primary key, and of any other. */
  readonly keyedTableEnd: Expression<unknown>;
  readonly numberedTableEnd: Expression<unknown>;
}
