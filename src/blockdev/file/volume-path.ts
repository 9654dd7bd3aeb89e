import { join } from 'node:path';

/** The folder of a pool's directory that holds its volumes. */
export const VOLUMES_FOLDER = 'drives';
export const VOLUME_SUFFIX = '.img';

/**
 * Where a volume is: `drives/<first two digits>/<name>.img` in the pool's directory. The 256 folders keep directories
 * small, and let `ls` and backup tools cope with a hundred thousand drives.
 */
export function volumePath(directory: string, volumeName: string): string {
  return join(directory, VOLUMES_FOLDER, volumeName.slice(0, 2), `${volumeName}${VOLUME_SUFFIX}`);
}
