import type { ExitCode } from './cli-io.ts';

/**
 * A failure that is the user's to read: one sentence and the word that scripts decide by. `usage` ends with exit code
 * 2, everything else with 1.
 */
export class CliError extends Error {
  readonly code: string;

  constructor(code: string, sentence: string, cause?: unknown) {
    super(sentence, cause === undefined ? undefined : { cause });
    this.name = 'CliError';
    this.code = code;
  }

  get exitCode(): ExitCode {
    return this.code === 'usage' ? 2 : 1;
  }
}

/** A local file could not be read or written, or is not what it should be: the same command again meets that again. */
export class FileError extends CliError {
  constructor(code: 'usage' | 'failed', sentence: string, cause?: unknown) {
    super(code, sentence, cause);
    this.name = 'FileError';
  }

  /** Whether there was no room for more: what is written already is as it should be. */
  get isFull(): boolean {
    return ['ENOSPC', 'EDQUOT'].includes(systemCode(this.cause) ?? '');
  }
}

/** What the user asked for cannot be done as it was written. */
export function usageError(sentence: string): CliError {
  return new CliError('usage', sentence);
}

/** The code of a system error such as ENOENT, null for anything else. */
export function systemCode(error: unknown): string | null {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : null;
}

const FILE_PROBLEMS: Readonly<Record<string, string>> = {
  ENOENT: 'it does not exist',
  EACCES: 'permission denied',
  EPERM: 'permission denied',
  EISDIR: 'it is a directory',
  ENOTDIR: 'a part of its path is not a directory',
  ENOSPC: 'the disk is full',
  EROFS: 'the file system is read-only',
  EPIPE: 'the reader has gone',
  EEXIST: 'it exists already',
};

/** Turns an error of the file system into a sentence such as `cannot read disk.img: it does not exist`. */
export function fileError(action: 'read' | 'write', path: string, error: unknown): unknown {
  const code = systemCode(error);
  if (code === null || error instanceof CliError) return error;
  const isPlaceMissing = code === 'ENOENT' && action === 'write';
  const problem = isPlaceMissing
    ? 'its directory does not exist'
    : (FILE_PROBLEMS[code] ?? (error instanceof Error ? error.message : code));
  return new FileError(
    code === 'ENOENT' && action === 'read' ? 'usage' : 'failed',
    `cannot ${action} ${path}: ${problem}`,
    error,
  );
}
