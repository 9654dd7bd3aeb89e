import { DriveError } from '../core/errors.ts';
import { driveOfVolume } from '../core/volume-name.ts';

/**
 * What an error of the operating system under a pool means to a caller. An error of the domain stays as it is, and
 * what the operating system did not say is a mistake of Drivebay and stays too.
 */
export function poolFailure(
  error: unknown,
  { volumeName, poolName }: { volumeName: string; poolName: string },
): unknown {
  if (error instanceof DriveError || !(error instanceof Error)) return error;
  const errno = 'code' in error && typeof error.code === 'string' ? error.code : null;
  const facts = { drive: driveOfVolume(volumeName), pool: poolName, errno: errno ?? undefined };
  switch (errno) {
    case null:
      return error;
    case 'ENOSPC':
    case 'EDQUOT':
      return new DriveError('full', `Pool ${poolName} has no room left.`, facts, error);
    case 'EFBIG':
      return new DriveError(
        'full',
        `Pool ${poolName} cannot hold a drive this large: its file system does not allow such a file.`,
        facts,
        error,
      );
    case 'ESTALE':
      return new DriveError(
        'system',
        `The file of drive ${facts.drive} in pool ${poolName} was deleted while the server had it open: nothing that is written is kept.`,
        facts,
        error,
      );
    default:
      return new DriveError(
        'system',
        `Pool ${poolName} cannot be used at present (${errno}); its log entry says more.`,
        facts,
        error,
      );
  }
}
