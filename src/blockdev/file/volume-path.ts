import { join } from 'node:path';

/** The folder of a pool's directory that holds its volumes. */
export const VOLUMES_FOLDER = 'drives';
export const VOLUME_SUFFIX = '.img';

/**
 * Where a drive's volume is: `drives/<first two digits of the UUID>/<UUID>.img` in the pool's directory. The 256
 * folders keep directories small, and let `ls` and backup tools cope with a hundred thousand drives.
 */
export function volumePath(directory: string, driveId: string): string {
  return join(directory, VOLUMES_FOLDER, driveId.slice(0, 2), `${driveId}${VOLUME_SUFFIX}`);
}
