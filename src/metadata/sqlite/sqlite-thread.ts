import { closeSync, openSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { parentPort, workerData } from 'node:worker_threads';
import { OPENING } from './protocol.ts';
import type { Answer, Failure, Reply, Request, SqlValue, ThreadSetup } from './protocol.ts';
import { createStatementCache } from './statement-cache.ts';
import type { StatementCache } from './statement-cache.ts';

/** How long a connection waits for another one's lock, such as a backup's. */
const BUSY_TIMEOUT_MS = 5000;
/** SQLite's result codes for errors that it did not give itself. */
const SQLITE_ABORT = 4;
const SQLITE_CANTOPEN = 14;

// Deleted content is overwritten, also in temporary files, which therefore stay in memory.
const WRITER_SETTINGS = `
  pragma locking_mode = normal;
  pragma journal_mode = wal;
  pragma synchronous = full;
  pragma foreign_keys = on;
  pragma secure_delete = on;
  pragma temp_store = memory;
  pragma cache_size = -4096;
  pragma journal_size_limit = 16777216;
`;
const READER_SETTINGS = `
  pragma query_only = on;
  pragma temp_store = memory;
  pragma cache_size = -4096;
`;

/** One connection to the database, in a thread of its own because SQLite waits for the disk. */
function serve(setup: ThreadSetup): void {
  const port = parentPort;
  if (port === null) throw new Error('This file runs as a worker thread only.');
  try {
    const database = openDatabase(setup);
    const statements = createStatementCache(database);
    port.on('message', (requests: readonly Request[]) => {
      const replies = requests.map((request) => handle(database, statements, request));
      port.postMessage(replies);
      if (!database.isOpen) port.close();
    });
    port.postMessage([answer(OPENING)]);
  } catch (error) {
    port.postMessage([toFailure(OPENING, error)]);
    port.close();
  }
}

function openDatabase({ path, role }: ThreadSetup): DatabaseSync {
  // Made here first because SQLite would let everybody read it; its other files take the mode of this one.
  if (role === 'writer') closeSync(openSync(path, 'a', 0o600));
  const database = new DatabaseSync(path, { timeout: BUSY_TIMEOUT_MS });
  database.exec(role === 'writer' ? WRITER_SETTINGS : READER_SETTINGS);
  // What an earlier process left in the log may hold keys that it has forgotten since.
  if (role === 'writer') database.exec('pragma wal_checkpoint(truncate)');
  return database;
}

function handle(database: DatabaseSync, statements: StatementCache, request: Request): Reply {
  try {
    return execute(database, statements, request);
  } catch (error) {
    return toFailure(request.id, error);
  }
}

function execute(database: DatabaseSync, statements: StatementCache, request: Request): Answer {
  switch (request.operation) {
    case 'close':
      database.close();
      return answer(request.id);
    case 'rollback':
      if (database.isTransaction) database.exec('rollback');
      return answer(request.id);
    case 'member':
      if (!database.isTransaction) throw new Error('SQLite has rolled the transaction back.');
      return query(statements, request);
    case 'query':
      return query(statements, request);
  }
}

function query(statements: StatementCache, { id, sql, parameters, wantsColumns }: Request): Answer {
  const { statement, columns } = statements.prepare(sql);
  if (columns.length === 0)
    return { ...answer(id), changes: Number(statement.run(...parameters.map(bindable)).changes) };
  const rows = statement.all(...parameters.map(bindable)) as unknown as SqlValue[][];
  return { id, rows, columns: wantsColumns ? columns : null, changes: rows.length };
}

/** Whole numbers as integers: Node binds every other number than a small one as floating point. */
function bindable(value: SqlValue): SqlValue {
  return typeof value === 'number' && Number.isSafeInteger(value) ? BigInt(value) : value;
}

function answer(id: number): Answer {
  return { id, rows: [], columns: null, changes: 0 };
}

function toFailure(id: number, error: unknown): Failure {
  const message = error instanceof Error ? error.message : String(error);
  if (error instanceof Error && 'errcode' in error) return { id, message, errcode: Number(error.errcode) };
  return { id, message, errcode: id === OPENING ? SQLITE_CANTOPEN : SQLITE_ABORT };
}

serve(workerData as ThreadSetup);
