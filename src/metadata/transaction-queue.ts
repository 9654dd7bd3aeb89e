/** Runs a statement where the owner of the transaction wants it to run. */
export type Runner<Statement, Result> = (statement: Statement) => Promise<Result>;

/** The connection that writes: one commit after the other. */
export interface CommitWriter<Statement, Result> {
  /** Begins a commit, and keeps every other writer out until it has ended. */
  begin(): Promise<void>;
  /** Runs a statement of it; refused when the database has given the commit up. */
  run(statement: Statement): Promise<Result>;
  /** The same, for what has no parameters and no result, such as a savepoint. */
  control(sql: string): Promise<unknown>;
  /** Ends it; when this resolves it is durable. */
  commit(): Promise<void>;
  /** Ends it if it has not ended yet. Never rejects. */
  rollback(): Promise<void>;
  /** Does what can be done against copies of what was deleted; false when that has to be tried again. Never rejects. */
  erase(): Promise<boolean>;
}

/** What a transaction runs with, and how it says that no copy of what it deleted may remain. */
export interface TransactionScope<Statement, Result> {
  readonly run: Runner<Statement, Result>;
  readonly eraseDeleted: () => void;
}

export interface TransactionQueue<Statement, Result> {
  transaction<Value>(work: (scope: TransactionScope<Statement, Result>) => Promise<Value>): Promise<Value>;
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
export function createTransactionQueue<Statement, Result>(
  writer: CommitWriter<Statement, Result>,
  ended: () => void = () => undefined,
): TransactionQueue<Statement, Result> {
  const waiting: Member[] = [];
  let pumping: Promise<void> | null = null;
  let isErasureDue = false;

  async function pump(): Promise<void> {
    while (waiting.length > 0) await runGroup(waiting.splice(0, MAX_GROUP));
    pumping = null;
  }

  async function runGroup(group: readonly Member[]): Promise<void> {
    let groupError: unknown = null;
    let hasBegun = false;
    try {
      await writer.begin();
      hasBegun = true;
      const succeeded = group.length === 1 ? await runAlone(group) : await runMembers(writer, group);
      if (succeeded) await writer.commit();
      else await writer.rollback();
    } catch (error) {
      groupError = error;
      await writer.rollback();
    }
    ended();
    if (isErasureDue) isErasureDue = !(await writer.erase());
    // When no commit can begin, those behind would only wait as long for the same answer.
    const told = hasBegun ? group : [...group, ...waiting.splice(0)];
    for (const member of told) member.settle(groupError);
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

type Controls = Pick<CommitWriter<unknown, unknown>, 'control'>;

/** @returns whether any of them has succeeded */
async function runMembers(writer: Controls, group: readonly Member[]): Promise<boolean> {
  let hasSucceeded = false;
  for (const member of group) {
    await writer.control('savepoint member');
    const outcome = await member.attempt();
    if ('error' in outcome) await undo(writer, outcome.error);
    else hasSucceeded = true;
    await writer.control('release member');
  }
  return hasSucceeded;
}

/** Undoes one member. When its error was such that the database gave the whole group up, that is everybody's error. */
async function undo(writer: Controls, error: unknown): Promise<void> {
  try {
    await writer.control('rollback to member');
  } catch {
    throw error;
  }
}

type Outcome<Value> = { readonly result: Value } | { readonly error: unknown };

interface Caller<Statement, Result, Value> {
  readonly writer: CommitWriter<Statement, Result>;
  readonly resolve: (result: Value) => void;
  readonly reject: (error: unknown) => void;
}

function createMember<Statement, Result, Value>(
  work: (run: Runner<Statement, Result>) => Promise<Value>,
  { writer, resolve, reject }: Caller<Statement, Result, Value>,
): Member {
  let outcome: Outcome<Value> | null = null;

  /** Refuses what comes after the work has settled: it would become part of somebody else's transaction. */
  function run(statement: Statement): Promise<Result> {
    if (outcome !== null) return Promise.reject(new Error('This transaction has ended.'));
    return writer.run(statement);
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
