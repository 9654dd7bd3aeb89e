import type { QueryResult } from 'pg';
import { DriveError } from '../../core/errors.ts';
import type { CommitWriter } from '../transaction-queue.ts';
import { serverTimeoutMs } from './client-config.ts';
import type { PostgresConnections, Session, Statement } from './postgres-connections.ts';
import { inDoubt, isConnectionLost } from './postgres-error.ts';

/**
 * The advisory lock that every writing transaction of every node holds from its beginning to its end, migrations
 * included. Any number will do that nobody else uses in this database.
 */
export const WRITERS_LOCK = 7_233_180_564_214_093;

export interface PostgresWriterOptions {
  /** How long other writers, or a statement, may take. */
  readonly timeoutMs: number;
  /** Called when keys were forgotten. */
  readonly vacuum: () => void;
}

/**
 * Commits through one connection, as one of the writers of all nodes that take turns.
 *
 * Why a lock and not SERIALIZABLE: transactions that touch one user's usage, or the one queue of imagings, are in each
 * other's way nearly always, so they would be repeated as often as they are made. Under the lock each runs once, in the
 * order in which it came, and those that wait share a commit. READ COMMITTED is enough then: each statement sees all
 * that was committed, and nobody else commits before this one has.
 */
export class PostgresWriter implements CommitWriter<Statement, QueryResult> {
  readonly #connections: Pick<PostgresConnections, 'lendWriter'>;
  readonly #timeoutMs: number;
  readonly #vacuum: () => void;
  #session: Session | null = null;
  /** PostgreSQL refuses whatever follows an error with one that says nothing: the first is what has gone wrong. */
  #firstError: unknown = null;

  constructor(connections: Pick<PostgresConnections, 'lendWriter'>, options: PostgresWriterOptions) {
    this.#connections = connections;
    this.#timeoutMs = options.timeoutMs;
    this.#vacuum = options.vacuum;
  }

  async begin(): Promise<void> {
    const startedAtMs = performance.now();
    try {
      await this.#beginOnce();
    } catch (error) {
      const isFoundDead = this.#session !== null && isConnectionLost(error);
      this.#end('end');
      // Nothing has been done yet, so it is begun anew over another connection.
      if (!isFoundDead || performance.now() - startedAtMs > this.#timeoutMs / 2) throw error;
      await this.#beginOnce();
    }
  }

  async run(statement: Statement): Promise<QueryResult> {
    try {
      return await this.#current().run(statement, this.#timeoutMs);
    } catch (error) {
      this.#firstError ??= error;
      throw this.#firstError;
    }
  }

  async control(sql: string): Promise<void> {
    try {
      await this.#current().run({ sql });
    } catch (error) {
      throw this.#firstError ?? error;
    }
    if (sql.startsWith('rollback')) this.#firstError = null;
  }

  /** A commit that was refused has not happened; one whose answer was lost is in doubt, and never repeated. */
  async commit(): Promise<void> {
    let command = '';
    try {
      command = (await this.#current().run({ sql: 'commit' })).command;
    } catch (error) {
      this.#end('end');
      throw isConnectionLost(error) ? inDoubt(error) : error;
    }
    const firstError = this.#firstError;
    this.#end('keep');
    // PostgreSQL answers the commit of a transaction that had an error with a rollback, and calls that a success.
    if (command !== 'COMMIT') throw firstError ?? givenUp();
  }

  async rollback(): Promise<void> {
    if (this.#session === null) return;
    try {
      await this.#session.run({ sql: 'rollback' });
      this.#end('keep');
    } catch {
      this.#end('end');
    }
  }

  erase(): Promise<true> {
    this.#vacuum();
    return Promise.resolve(true);
  }

  async #beginOnce(): Promise<void> {
    this.#session = await this.#connections.lendWriter();
    await this.#session.run({ sql: beginning(this.#timeoutMs) }, this.#timeoutMs);
  }

  #current(): Session {
    if (this.#session === null) throw givenUp();
    return this.#session;
  }

  #end(fate: 'keep' | 'end'): void {
    this.#session?.release(fate);
    this.#session = null;
    this.#firstError = null;
  }
}

function beginning(timeoutMs: number): string {
  return (
    'begin isolation level read committed read write; ' +
    `set local statement_timeout = ${serverTimeoutMs(timeoutMs)}; ` +
    `select pg_advisory_xact_lock(${WRITERS_LOCK})`
  );
}

function givenUp(): DriveError {
  return new DriveError('system', 'The metadata database gave a transaction up: try again.');
}
