import type { RbdDrive } from './attached-drive.ts';
import { diskElement } from './disk-element.ts';
import { monitorHosts, rbdPath } from './rbd-image.ts';
import { xmlText } from './xml-text.ts';

/**
 * A `disk` element for a domain of libvirt that uses the drive in Ceph. Its two secrets are libvirt's own: the user's key,
 * under the usage that Ceph's manual gives it, and the passphrase, under the drive's UUID.
 */
export function rbdLibvirtDisk(drive: RbdDrive): string {
  const { image, driveId } = drive;
  const user = xmlText(image.user);
  const isEncrypted = image.secretFile !== null;
  return diskElement(drive, [
    `<source protocol='rbd' name='${xmlText(rbdPath(image))}'>`,
    ...monitorHosts(image).map(
      ({ host, port }) => `  <host name='${xmlText(host)}' port='${xmlText(port)}'/>`,
    ),
    `  <auth username='${user}'><secret type='ceph' usage='client.${user} secret'/></auth>`,
    ...(isEncrypted
      ? [`  <encryption format='luks'><secret type='passphrase' usage='drivebay-${driveId}'/></encryption>`]
      : []),
    `</source>`,
  ]);
}
