/** What passes between the store and its threads: arrays of these, in order, as few messages as possible. */

/** A value as SQLite holds it. Truth values and dates are numbers. */
export type SqlValue = string | number | bigint | Uint8Array | null;

/** What a thread is started with. */
export interface ThreadSetup {
  readonly path: string;
  readonly role: 'writer' | 'reader';
}

/**
 * - query: as it is
 * - member: part of a transaction, refused when SQLite has rolled it back meanwhile, as it does when the disk is full
 * - rollback: ends the transaction if there still is one
 * - close: ends the thread
 */
export type Operation = 'query' | 'member' | 'rollback' | 'close';

export interface Request {
  readonly id: number;
  readonly operation: Operation;
  readonly sql: string;
  readonly parameters: readonly SqlValue[];
  /** Whether the answer should name the columns: once is enough for each text. */
  readonly wantsColumns: boolean;
}

export type Reply = Answer | Failure;

/** The result of a statement. Rows are arrays: names in each of them would double what is sent. */
export interface Answer {
  readonly id: number;
  readonly rows: readonly (readonly SqlValue[])[];
  readonly columns: readonly string[] | null;
  readonly changes: number;
}

/** An error, taken apart because only its message would get through; `errcode` is SQLite's extended result code. */
export interface Failure {
  readonly id: number;
  readonly message: string;
  readonly errcode: number;
}

/** The `id` of the first reply, which says whether the database could be opened. */
export const OPENING = 0;
