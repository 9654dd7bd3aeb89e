import type { SqliteThread, Statement, ResultSet } from './sqlite-thread-client.ts';
import type { StatementRunner } from './sqlite-dialect.ts';

/** What a transaction runs with, and how it says that no copy of what it deleted may remain. */
export interface TransactionScope {
  readonly run: StatementRunner;
  readonly eraseDeleted: () => void;
}

export interface TransactionQueue {
  transaction<Result>(work: (scope: TransactionScope) => Promise<Result>): Promise<Result>;
  /** Resolves once all that was begun has ended. */
  drain(): Promise<void>;
}

/** The most transactions that share one commit. */
const MAX_GROUP = 64;

interface Member {
  /** Runs the work and keeps its outcome. */
  attempt(): Promise<Outcome<unknown>>;
  /** Tells the caller, once it is known whether the group was committed. */
  settle(groupError: unknown): void;
}

/**
 * Runs transactions one after the other, in the order in which they came. Those that queue up while a commit waits for
 * the disk share the next one: each runs in a savepoint, so that it can fail alone, and each is told of its success
 * only after the commit that holds it.
 *
 * @param ended called when a commit has ended, however it has, before anybody is told
 */
export function createTransactionQueue(
  writer: SqliteThread,
  ended: () => void = () => undefined,
): TransactionQueue {
  const waiting: Member[] = [];
  let pumping: Promise<void> | null = null;
  let isErasureDue = false;

  async function pump(): Promise<void> {
    while (waiting.length > 0) await runGroup(waiting.splice(0, MAX_GROUP));
    pumping = null;
  }

  async function runGroup(group: readonly Member[]): Promise<void> {
    let groupError: unknown = null;
    try {
      await writer.run({ sql: 'begin immediate' });
      const succeeded = group.length === 1 ? await runAlone(group) : await runMembers(writer, group);
      if (succeeded) await writer.run({ sql: 'commit' }, 'member');
      else await writer.run({ sql: 'rollback' }, 'rollback');
    } catch (error) {
      groupError = error;
      await writer.run({ sql: 'rollback' }, 'rollback').catch(() => undefined);
    }
    ended();
    if (isErasureDue) await erase();
    for (const member of group) member.settle(groupError);
  }

  /** Empties the log, where copies of overwritten pages remain. When it cannot, the next transaction tries again. */
  async function erase(): Promise<void> {
    try {
      const { rows } = await writer.run({ sql: 'pragma wal_checkpoint(truncate)' });
      isErasureDue = rows[0]?.[0] !== 0;
    } catch {
      isErasureDue = true;
    }
  }

  return {
    async transaction(work) {
      return await new Promise((resolve, reject) => {
        const eraseDeleted = (): void => {
          isErasureDue = true;
        };
        waiting.push(createMember((run) => work({ run, eraseDeleted }), { writer, resolve, reject }));
        pumping ??= pump();
      });
    },
    async drain() {
      await pumping;
    },
  };
}

async function runAlone([member]: readonly Member[]): Promise<boolean> {
  const outcome = await member?.attempt();
  return outcome !== undefined && 'result' in outcome;
}

/** @returns whether any of them has succeeded */
async function runMembers(writer: SqliteThread, group: readonly Member[]): Promise<boolean> {
  let hasSucceeded = false;
  for (const member of group) {
    await writer.run({ sql: 'savepoint member' }, 'member');
    const outcome = await member.attempt();
    if ('error' in outcome) await undo(writer, outcome.error);
    else hasSucceeded = true;
    await writer.run({ sql: 'release member' }, 'member');
  }
  return hasSucceeded;
}

/** Undoes one member. When its error was such that SQLite gave the whole group up, that is everybody's error. */
async function undo(writer: SqliteThread, error: unknown): Promise<void> {
  try {
    await writer.run({ sql: 'rollback to member' }, 'member');
  } catch {
    throw error;
  }
}

type Outcome<Result> = { readonly result: Result } | { readonly error: unknown };

interface Caller<Result> {
  readonly writer: SqliteThread;
  readonly resolve: (result: Result) => void;
  readonly reject: (error: unknown) => void;
}

function createMember<Result>(
  work: (run: StatementRunner) => Promise<Result>,
  { writer, resolve, reject }: Caller<Result>,
): Member {
  let outcome: Outcome<Result> | null = null;

  /** Refuses what comes after the work has settled: it would become part of somebody else's transaction. */
  function run(statement: Statement): Promise<ResultSet> {
    if (outcome !== null) return Promise.reject(new Error('This transaction has ended.'));
    return writer.run(statement, 'member');
  }

  return {
    async attempt() {
      try {
        outcome = { result: await work(run) };
      } catch (error) {
        outcome = { error };
      }
      return outcome;
    },
    settle(groupError) {
      // Its own error may come from what another member did, which has not happened when the group failed.
      if (groupError !== null || outcome === null) reject(groupError);
      else if ('error' in outcome) reject(outcome.error);
      else resolve(outcome.result);
    },
  };
}
