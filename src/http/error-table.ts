import { DriveError } from '../core/errors.ts';
import type { ErrorCode } from '../core/errors.ts';
import { INPUT_LIMITS } from './limits.ts';

/** What a client sees of an error: the status, and the first word of X-Elastic-Error. */
export interface ErrorLine {
  readonly status: number;
  readonly type: string;
  readonly when: string;
}

/** The error table of the API: the one place where codes become statuses. */
export const ERROR_TABLE: Readonly<Record<ErrorCode, ErrorLine>> = {
  usage: { status: 400, type: 'usage', when: 'Malformed or impossible input' },
  auth: { status: 401, type: 'auth', when: 'No, unknown or wrong credentials' },
  missing: {
    status: 404,
    type: 'missing',
    when: 'No such command; no such drive, or not one that this user may know of',
  },
  method: { status: 405, type: 'method', when: 'GET on a command that changes something; see Allow' },
  busy: {
    status: 409,
    type: 'busy',
    when: "The drive's present state forbids it: claimed, imaging, being destroyed",
  },
  'too-large': { status: 413, type: 'usage', when: 'The body is larger than this command takes' },
  failed: {
    status: 500,
    type: 'failed',
    when: "Drivebay's own fault; the log has the request id that the answer carries",
  },
  system: { status: 503, type: 'system', when: 'A part that Drivebay depends on is away; see Retry-After' },
  full: { status: 507, type: 'full', when: 'No room: pool, quota, or no placement that satisfies avoid' },
};

/** A client's own words inside a sentence, cut to a length that no log or terminal minds. */
export function quoted(words: string): string {
  const printable = words.replace(/[^\P{C}]/gu, '?');
  const limit = INPUT_LIMITS.quotedCharacters;
  return printable.length > limit ? `${printable.slice(0, limit)}…` : printable;
}

export function usage(sentence: string): DriveError {
  return new DriveError('usage', sentence);
}

/** The one answer for a command that does not exist and for one that this user may not know of. */
export function commandMissing(path: string): DriveError {
  return new DriveError('missing', `The command ${quoted(path)} could not be found.`);
}
