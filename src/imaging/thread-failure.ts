import { DriveError } from '../core/errors.ts';
import type { ErrorCode } from '../core/errors.ts';
import { ImagingStopped } from './engine-hooks.ts';

/** An error on its way between threads: being stopped, one of the domain, or of the operating system with its code. */
export interface ThreadFailure {
  readonly isStopped: boolean;
  readonly code: ErrorCode | null;
  readonly errno: string | null;
  readonly message: string;
  readonly stack: string | null;
}

export function describeFailure(error: unknown): ThreadFailure {
  const isStopped = error instanceof ImagingStopped;
  if (!(error instanceof Error)) {
    return { isStopped, code: null, errno: null, message: String(error), stack: null };
  }
  const code = error instanceof DriveError ? error.code : null;
  const errno = code === null && 'code' in error && typeof error.code === 'string' ? error.code : null;
  return { isStopped, code, errno, message: error.message, stack: error.stack ?? null };
}

export function reviveFailure({ isStopped, code, errno, message, stack }: ThreadFailure): Error {
  if (isStopped) return new ImagingStopped();
  if (code !== null) return new DriveError(code, message);
  const error = errno === null ? new Error(message) : Object.assign(new Error(message), { code: errno });
  if (stack !== null) error.stack = stack;
  return error;
}
