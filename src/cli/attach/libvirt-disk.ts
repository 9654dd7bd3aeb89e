import { RECONNECT_SECONDS, serialOf } from './attached-drive.ts';
import type { NbdDrive } from './attached-drive.ts';
import type { NbdTarget } from './nbd-target.ts';
import { xmlText } from './xml-text.ts';

/** A `disk` element for a domain of libvirt. The device's name in `target` is for its user to choose. */
export function libvirtDisk(drive: NbdDrive): string {
  const { target, isReadOnly } = drive;
  const tls = target.isTls ? " tls='yes'" : '';
  const discard = isReadOnly ? '' : " discard='unmap'";
  return [
    `<disk type='network' device='disk'>`,
    `  <driver name='qemu' type='raw'${discard}/>`,
    `  <source protocol='nbd' name='${xmlText(target.secret)}'${tls}>`,
    `    ${hostOf(target)}`,
    `    <reconnect delay='${RECONNECT_SECONDS}'/>`,
    `  </source>`,
    `  <target dev='vdb' bus='virtio'/>`,
    `  <serial>${xmlText(serialOf(drive))}</serial>`,
    ...(isReadOnly ? ['  <readonly/>'] : []),
    `</disk>`,
  ].join('\n');
}

function hostOf({ endpoint }: NbdTarget): string {
  if (endpoint.kind === 'unix') return `<host transport='unix' socket='${xmlText(endpoint.path)}'/>`;
  return `<host name='${xmlText(endpoint.host)}' port='${endpoint.port}'/>`;
}
