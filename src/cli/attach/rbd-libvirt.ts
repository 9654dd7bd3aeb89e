import { serialOf } from './attached-drive.ts';
import type { RbdDrive } from './attached-drive.ts';
import { monitorHosts, rbdPath } from './rbd-image.ts';
import { xmlText } from './xml-text.ts';

/**
 * A `disk` element for a domain of libvirt. Its two secrets are libvirt's own: the user's key, under the usage that Ceph's
 * manual gives it, and the passphrase, under the drive's UUID.
 */
export function rbdLibvirtDisk(drive: RbdDrive): string {
  const { image, isReadOnly, driveId } = drive;
  const user = xmlText(image.user);
  const isEncrypted = image.secretFile !== null;
  return [
    `<disk type='network' device='disk'>`,
    `  <driver name='qemu' type='raw'${isReadOnly ? '' : " discard='unmap'"}/>`,
    `  <source protocol='rbd' name='${xmlText(rbdPath(image))}'>`,
    ...monitorHosts(image).map(
      ({ host, port }) => `    <host name='${xmlText(host)}' port='${xmlText(port)}'/>`,
    ),
    `    <auth username='${user}'><secret type='ceph' usage='client.${user} secret'/></auth>`,
    ...(isEncrypted
      ? [`    <encryption format='luks'><secret type='passphrase' usage='drivebay-${driveId}'/></encryption>`]
      : []),
    `  </source>`,
    `  <target dev='vdb' bus='virtio'/>`,
    `  <serial>${xmlText(serialOf(drive))}</serial>`,
    ...(isReadOnly ? ['  <readonly/>'] : []),
    `</disk>`,
  ].join('\n');
}
