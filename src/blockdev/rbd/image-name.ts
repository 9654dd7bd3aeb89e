import { isUuid } from '../../core/uuid.ts';
import type { RbdPlace } from '../pool-spec.ts';

const PREFIX = 'drivebay-';

/** What the image of a drive is called: so that it is told from what others keep in the same pool. */
export function imageName(driveId: string): string {
  if (!isUuid(driveId)) throw new RangeError(`${driveId} is no drive's UUID.`);
  return `${PREFIX}${driveId}`;
}

/** The drive of an image; null when it is somebody else's. */
export function driveOfImage(name: string): string | null {
  const driveId = name.slice(PREFIX.length);
  return name.startsWith(PREFIX) && isUuid(driveId) ? driveId : null;
}

/** Where a drive's image is, as `qemu-img` and QEMU take it. */
export function imageLocation(place: RbdPlace, driveId: string): string {
  const { cephPool, namespace, user, keyring, confFile, monitors } = place;
  const path = [cephPool, ...(namespace === null ? [] : [namespace]), imageName(driveId)].join('/');
  const options = Object.entries({ id: user, keyring, conf: confFile, mon_host: monitors });
  const given = options.flatMap(([key, value]) => (value === null ? [] : [`${key}=${escaped(value)}`]));
  return `rbd:${[path, ...given].join(':')}`;
}

/** Colons separate options there. */
function escaped(value: string): string {
  return value.replaceAll(/[\\:=@]/g, String.raw`\$&`);
}
