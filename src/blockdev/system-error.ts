import { constants } from 'node:os';

/** An error of the operating system in the form in which Node's own calls throw them. */
export interface SystemError extends Error {
  readonly code: string;
  readonly errno: number;
  readonly syscall: string;
}

const NUMBERS: Readonly<Record<string, number>> = constants.errno;

/** Makes the error that a failed system call throws, from the name of its code such as `ENOSPC`. */
export function systemError(code: string, syscall: string, message = `${syscall} failed`): SystemError {
  const errno = -(NUMBERS[code] ?? 0);
  return Object.assign(new Error(`${code}: ${message}`), { code, errno, syscall });
}

/** Whether the error is the operating system's, with one of these codes. */
export function isSystemError(error: unknown, ...codes: readonly string[]): error is SystemError {
  return (
    error instanceof Error && 'code' in error && typeof error.code === 'string' && codes.includes(error.code)
  );
}

/**
 * Whether the error is that of a pool over a network which others keep this node out of, or which it has not connected to
 * anew since: that passes by itself.
 */
export function isKeptOut(error: unknown): boolean {
  return isSystemError(error, 'ESHUTDOWN', 'ENOTCONN');
}
