import type { DatabaseSync, StatementSync } from 'node:sqlite';

/** Far more than there are different queries; lists with many parameters have a text for each number of them. */
const MAX_STATEMENTS = 128;

export interface CachedStatement {
  readonly statement: StatementSync;
  /** Names of its columns; none when it returns no rows. */
  readonly columns: readonly string[];
}

/** Prepared statements by their text, the least recently used one leaving first. */
export interface StatementCache {
  prepare(sql: string): CachedStatement;
}

export function createStatementCache(database: DatabaseSync): StatementCache {
  const statements = new Map<string, CachedStatement>();
  return {
    prepare(sql) {
      const cached = statements.get(sql) ?? prepareStatement(database, sql);
      statements.delete(sql);
      statements.set(sql, cached);
      const [oldest] = statements.keys();
      if (statements.size > MAX_STATEMENTS && oldest !== undefined) statements.delete(oldest);
      return cached;
    },
  };
}

function prepareStatement(database: DatabaseSync, sql: string): CachedStatement {
  const statement = database.prepare(sql);
  statement.setReturnArrays(true);
  return { statement, columns: statement.columns().map((column) => column.name) };
}
