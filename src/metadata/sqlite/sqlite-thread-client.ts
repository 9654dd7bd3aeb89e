import { setImmediate } from 'node:timers';
import { Worker } from 'node:worker_threads';
import { workerUrl } from '../../runtime/worker-url.ts';
import { OPENING } from './protocol.ts';
import type { Answer, Operation, Reply, Request, SqlValue, ThreadSetup } from './protocol.ts';
import { threadGone, toStoreError } from './sqlite-error.ts';

/** Rows with the names of their columns, and how many rows a statement has changed. */
export interface ResultSet {
  readonly columns: readonly string[];
  readonly rows: readonly (readonly SqlValue[])[];
  readonly changes: number;
}

export interface Statement {
  readonly sql: string;
  readonly parameters?: readonly SqlValue[];
}

/** A connection in its thread. What is asked of it happens in the order in which it was asked. */
export interface SqliteThread {
  run(statement: Statement, operation?: Exclude<Operation, 'close'>): Promise<ResultSet>;
  /** Ends the thread once all that was asked before is done. */
  close(): Promise<void>;
}

/** Room for the objects of one thread: a page of drives takes a megabyte or two. */
const RESOURCE_LIMITS = { maxOldGenerationSizeMb: 128, maxYoungGenerationSizeMb: 8 };

interface Pending {
  readonly sql: string;
  readonly resolve: (result: ResultSet) => void;
  readonly reject: (error: Error) => void;
}

/** @throws DriveError system when the database cannot be opened, full when there is no room to make it */
export async function openSqliteThread(setup: ThreadSetup): Promise<SqliteThread> {
  const worker = new Worker(workerUrl('./sqlite-thread.ts', import.meta.url), {
    workerData: setup,
    resourceLimits: RESOURCE_LIMITS,
    name: `sqlite-${setup.role}`,
  });
  const calls = createCalls(worker, setup.path);
  const ended = new Promise<void>((resolve) => {
    worker.once('exit', () => {
      calls.fail(threadGone(setup.path));
      resolve();
    });
  });
  worker.on('error', (error) => calls.fail(threadGone(setup.path, error)));
  worker.on('message', (replies: readonly Reply[]) => calls.settle(replies));
  await calls.opening;
  return {
    run: (statement, operation = 'query') => calls.send(statement, operation),
    async close() {
      await calls.send({ sql: 'close' }, 'close').catch(() => undefined);
      await ended;
    },
  };
}

interface Calls {
  readonly opening: Promise<ResultSet>;
  send(statement: Statement, operation: Operation): Promise<ResultSet>;
  settle(replies: readonly Reply[]): void;
  fail(error: Error): void;
}

/** Requests that wait for their replies. Those of one turn of the event loop travel in one message. */
function createCalls(worker: Worker, path: string): Calls {
  const pending = new Map<number, Pending>();
  const columnsBySql = new Map<string, readonly string[]>();
  let outbox: Request[] = [];
  let lastId = OPENING;
  let failure: Error | null = null;

  function post(): void {
    worker.postMessage(outbox);
    outbox = [];
  }

  function settleOne(reply: Reply): void {
    const call = pending.get(reply.id);
    if (call === undefined) return;
    pending.delete(reply.id);
    if ('errcode' in reply) call.reject(toStoreError(reply, path));
    else call.resolve({ columns: columnsOf(call.sql, reply), rows: reply.rows, changes: reply.changes });
  }

  function columnsOf(sql: string, { columns }: Answer): readonly string[] {
    if (columns === null) return columnsBySql.get(sql) ?? [];
    if (columnsBySql.size >= MAX_COLUMN_LISTS) columnsBySql.clear();
    columnsBySql.set(sql, columns);
    return columns;
  }

  return {
    opening: new Promise((resolve, reject) => {
      pending.set(OPENING, { sql: '', resolve, reject });
    }),
    send({ sql, parameters = [] }, operation) {
      if (failure !== null) return Promise.reject(failure);
      lastId += 1;
      const id = lastId;
      if (outbox.length === 0) setImmediate(post);
      outbox.push({ id, operation, sql, parameters, wantsColumns: !columnsBySql.has(sql) });
      return new Promise((resolve, reject) => {
        pending.set(id, { sql, resolve, reject });
      });
    },
    settle(replies) {
      for (const reply of replies) settleOne(reply);
    },
    fail(error) {
      failure ??= error;
      for (const call of pending.values()) call.reject(failure);
      pending.clear();
    },
  };
}

const MAX_COLUMN_LISTS = 256;
