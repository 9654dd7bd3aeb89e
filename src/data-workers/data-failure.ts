import { DriveError } from '../core/errors.ts';
import type { DataFailure } from './protocol.ts';

/** An error in the form in which it goes from a data thread to the main thread. */
export function describeFailure(error: unknown): DataFailure {
  if (!(error instanceof Error)) return { code: null, errno: null, message: String(error), stack: null };
  const errno = 'code' in error && typeof error.code === 'string' ? error.code : null;
  return error instanceof DriveError
    ? { code: error.code, errno: null, message: error.message, stack: null }
    : { code: null, errno, message: error.message, stack: error.stack ?? null };
}

/** The error again, in the main thread. */
export function reviveFailure(failure: DataFailure): Error {
  if (failure.code !== null) return new DriveError(failure.code, failure.message);
  const error = Object.assign(new Error(failure.message), { code: failure.errno });
  if (failure.stack !== null) error.stack = failure.stack;
  return error;
}
