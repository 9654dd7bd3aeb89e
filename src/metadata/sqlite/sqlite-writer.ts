import type { CommitWriter } from '../transaction-queue.ts';
import type { ResultSet, SqliteThread, Statement } from './sqlite-thread-client.ts';

/** Commits through SQLite's one writing connection. */
export function createSqliteWriter(thread: SqliteThread): CommitWriter<Statement, ResultSet> {
  return {
    async begin() {
      await thread.run({ sql: 'begin immediate' });
    },
    run: (statement) => thread.run(statement, 'member'),
    control: (sql) => thread.run({ sql }, 'member'),
    async commit() {
      await thread.run({ sql: 'commit' }, 'member');
    },
    async rollback() {
      await thread.run({ sql: 'rollback' }, 'rollback').catch(() => undefined);
    },
    /** Empties the log, where copies of overwritten pages remain. */
    async erase() {
      try {
        const { rows } = await thread.run({ sql: 'pragma wal_checkpoint(truncate)' });
        return rows[0]?.[0] === 0;
      } catch {
        return false;
      }
    },
  };
}
