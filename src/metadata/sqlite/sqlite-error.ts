import { DriveError } from '../../core/errors.ts';
import type { ErrorCode } from '../../core/errors.ts';
import type { Failure } from './protocol.ts';

/** An error as SQLite gave it, with its extended result code (https://sqlite.org/rescode.html). */
export class SqliteError extends Error {
  readonly errcode: number;

  constructor(message: string, errcode: number) {
    super(message);
    this.name = 'SqliteError';
    this.errcode = errcode;
  }
}

interface Meaning {
  readonly code: ErrorCode;
  readonly sentence: string;
}

const DENIED: Meaning = {
  code: 'system',
  sentence:
    'The metadata database cannot be opened: check that its directory exists, is mounted, and may be written by ' +
    'the user that Drivebay runs as.',
};
const LOCKED: Meaning = {
  code: 'system',
  sentence: 'The metadata database is locked by another process: stop that one, then try again.',
};
const DAMAGED: Meaning = {
  code: 'system',
  sentence: 'The metadata database is damaged or is not one: restore it from a backup.',
};

/** By primary result code; any other is a mistake in Drivebay. */
const MEANINGS: ReadonlyMap<number, Meaning> = new Map([
  [3, DENIED],
  [8, DENIED],
  [14, DENIED],
  [23, DENIED],
  [5, LOCKED],
  [6, LOCKED],
  [11, DAMAGED],
  [26, DAMAGED],
  [4, { code: 'system', sentence: 'The metadata database gave a transaction up: try again.' }],
  [7, { code: 'system', sentence: 'There is not enough memory for the metadata database: free some.' }],
  [
    10,
    { code: 'system', sentence: 'The disk of the metadata database fails: check it, then restart Drivebay.' },
  ],
  [13, { code: 'full', sentence: 'The disk of the metadata database is full: free some space on it.' }],
]);

/** What the caller of the store gets to see of a failure in its thread. */
export function toStoreError(
  { message, errcode }: Pick<Failure, 'message' | 'errcode'>,
  path: string,
): Error {
  const cause = new SqliteError(message, errcode);
  const meaning = MEANINGS.get(errcode & 0xff);
  if (meaning === undefined) return cause;
  return new DriveError(meaning.code, meaning.sentence, { path, errcode }, cause);
}

/** The database's thread is gone: nothing that was asked of it is known to have happened. */
export function threadGone(path: string, cause?: unknown): DriveError {
  const sentence = 'The metadata database is closed: restart Drivebay.';
  return new DriveError('system', sentence, { path }, cause);
}
