import { NBD_ERROR } from '../protocol-numbers.ts';

const ERRORS: Readonly<Record<string, number>> = {
  ENOSPC: NBD_ERROR.ENOSPC,
  EDQUOT: NBD_ERROR.ENOSPC,
  EFBIG: NBD_ERROR.ENOSPC,
  EROFS: NBD_ERROR.EPERM,
  ENOMEM: NBD_ERROR.ENOMEM,
};

/** The protocol's number for an error of the operating system. Anything else is a mistake of Drivebay, and thrown on. */
export function errorNumber(error: unknown): number {
  if (!(error instanceof Error) || !('code' in error) || typeof error.code !== 'string') throw error;
  return ERRORS[error.code] ?? NBD_ERROR.EIO;
}
