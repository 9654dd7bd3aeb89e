/**
 * What can go wrong, in the words of the API. `http` translates each code to a status in one table.
 *
 * - usage: malformed or impossible input
 * - auth: no, unknown or wrong credentials
 * - missing: no such command, or no such drive that this user may know of
 * - method: a method that this path does not take
 * - busy: the present state of the drive forbids it
 * - too-large: the body is larger than this command takes
 * - failed: Drivebay's own fault
 * - system: a part that Drivebay depends on is away
 * - full: no room, by pool, quota or placement
 */
export type ErrorCode =
  'usage' | 'auth' | 'missing' | 'method' | 'busy' | 'too-large' | 'failed' | 'system' | 'full';

/** Facts about an error, for logs and for callers that decide by them; never a secret. */
export type ErrorFacts = Readonly<Record<string, string | number | boolean | readonly string[] | undefined>>;

/** An error of the domain: a code to decide by, one plain sentence for people, and the facts behind it. */
export class DriveError extends Error {
  readonly code: ErrorCode;
  readonly facts: ErrorFacts;

  constructor(code: ErrorCode, sentence: string, facts: ErrorFacts = {}, cause?: unknown) {
    super(sentence, cause === undefined ? undefined : { cause });
    this.name = 'DriveError';
    this.code = code;
    this.facts = facts;
  }
}

/** The one answer for a drive that does not exist and for one that this user may not know of. */
export function driveMissing(driveId: string): DriveError {
  return new DriveError('missing', `Drive ${driveId} could not be found.`, { drive: driveId });
}
