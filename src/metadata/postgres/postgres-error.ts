import { DatabaseError } from 'pg';
import { DriveError } from '../../core/errors.ts';
import type { ErrorCode } from '../../core/errors.ts';

/**
 * An error as PostgreSQL gave it, with its code (https://www.postgresql.org/docs/current/errcodes-appendix.html). The
 * details that come along are left out: they quote rows, and so hashes and wrapped keys.
 */
export class PostgresError extends Error {
  readonly sqlstate: string;

  constructor(message: string, sqlstate: string) {
    super(message);
    this.name = 'PostgresError';
    this.sqlstate = sqlstate;
  }
}

interface Meaning {
  readonly code: ErrorCode;
  readonly sentence: (database: string) => string;
}

function system(sentence: Meaning['sentence']): Meaning {
  return { code: 'system', sentence };
}

const AWAY = system((database) => `The metadata database ${database} cannot be reached.`);
const GIVEN_UP = system(() => 'The metadata database gave a transaction up: try again.');
const REFUSED = system(
  (database) =>
    `The metadata database ${database} refuses Drivebay: check user, password, database and pg_hba.conf.`,
);
const FORBIDDEN = system(
  (database) => `Drivebay's user may not do what it has to in ${database}: it must own the database.`,
);
const CROWDED = system(
  (database) =>
    `The metadata database ${database} takes no more connections: raise its max_connections, or lower metadata_connections.`,
);

/** By code, or by its first two characters, which are its class; any other is a mistake in Drivebay. */
const MEANINGS: ReadonlyMap<string, Meaning> = new Map([
  ['08', AWAY],
  ['57', AWAY],
  ['57014', system(() => 'The metadata database took too long, and was told to stop: try again.')],
  ['55P03', GIVEN_UP],
  ['40', GIVEN_UP],
  ['25P02', GIVEN_UP],
  ['25P03', AWAY],
  ['25006', system((database) => `The metadata database ${database} is read-only: it may be a standby.`)],
  ['28', REFUSED],
  ['3D000', REFUSED],
  ['42501', FORBIDDEN],
  ['53100', { code: 'full', sentence: () => 'The disk of the metadata database is full: free some on it.' }],
  ['53', CROWDED],
  ['58', system(() => 'The disk of the metadata database fails: check it.')],
  ['XX', system(() => 'The metadata database is damaged: look at its log, restore it from a backup.')],
]);

/**
 * Whether the connection is of no use any more. Whatever did not come from PostgreSQL itself came from the connection;
 * classes 08 and 57P end it, and so does a transaction that was idle for too long.
 */
export function isConnectionLost(error: unknown): boolean {
  if (error instanceof DriveError) return error.facts['isLost'] === true;
  const code = sqlstateOf(error);
  return code === null || code.startsWith('08') || code.startsWith('57P') || code === '25P03';
}

/** What the caller of the store gets to see of an error. */
export function toStoreError(error: unknown, database: string): Error {
  if (error instanceof DriveError || error instanceof PostgresError) return error;
  const sqlstate = sqlstateOf(error);
  const message = messageOf(error);
  const isLost = isConnectionLost(error);
  if (sqlstate === null) {
    return new DriveError('system', AWAY.sentence(database), { database, isLost }, new Error(message));
  }
  const cause = new PostgresError(message, sqlstate);
  const meaning = MEANINGS.get(sqlstate) ?? MEANINGS.get(sqlstate.slice(0, 2));
  if (meaning === undefined) return cause;
  return new DriveError(meaning.code, meaning.sentence(database), { database, sqlstate, isLost }, cause);
}

/** The connection was lost while it committed: whether it has is not known, so nobody may just do it again. */
export function inDoubt(cause: unknown): DriveError {
  const sentence =
    'The metadata database went away during a change, which may or may not have been made: look.';
  return new DriveError('system', sentence, { isInDoubt: true }, cause);
}

export function isInDoubt(error: unknown): boolean {
  return error instanceof DriveError && error.facts['isInDoubt'] === true;
}

function sqlstateOf(error: unknown): string | null {
  return error instanceof DatabaseError ? (error.code ?? null) : null;
}

/** Several addresses of one host fail with an error that says nothing but holds theirs. */
function messageOf(error: unknown): string {
  if (error instanceof AggregateError && error.message === '') return error.errors.map(messageOf).join('; ');
  return error instanceof Error ? error.message : String(error);
}
