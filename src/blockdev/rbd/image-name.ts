import { isVolumeName } from '../../core/volume-name.ts';
import type { RbdPlace } from '../pool-spec.ts';

const PREFIX = 'drivebay-';

/** What the image of a volume is called: so that it is told from what others keep in the same pool. */
export function imageName(volumeName: string): string {
  if (!isVolumeName(volumeName)) throw new RangeError(`${volumeName} is no name of a volume.`);
  return `${PREFIX}${volumeName}`;
}

/**
 * A second name of a volume's image, for programs that were given it by the claim of this epoch. It is in no list of
 * images.
 */
export function claimedImageName(volumeName: string, epoch: number): string {
  return `${imageName(volumeName)}-epoch-${epoch}`;
}

/** The volume of an image; null when it is somebody else's. */
export function volumeOfImage(name: string): string | null {
  const volumeName = name.slice(PREFIX.length);
  return name.startsWith(PREFIX) && isVolumeName(volumeName) ? volumeName : null;
}

/** Where a volume's image is, as `qemu-img` and QEMU take it. */
export function imageLocation(place: RbdPlace, volumeName: string): string {
  const { cephPool, namespace, user, keyring, confFile, monitors } = place;
  const path = [cephPool, ...(namespace === null ? [] : [namespace]), imageName(volumeName)].join('/');
  const options = Object.entries({ id: user, keyring, conf: confFile, mon_host: monitors });
  const given = options.flatMap(([key, value]) => (value === null ? [] : [`${key}=${escaped(value)}`]));
  return `rbd:${[path, ...given].join(':')}`;
}

/** Colons separate options there. */
function escaped(value: string): string {
  return value.replaceAll(/[\\:=@]/g, String.raw`\$&`);
}
