import { RECONNECT_SECONDS, serialOf } from './attached-drive.ts';
import type { AttachedDrive } from './attached-drive.ts';
import type { NbdTarget } from './nbd-target.ts';

/** A `disk` element for a domain of libvirt. The device's name in `target` is for its user to choose. */
export function libvirtDisk(drive: AttachedDrive): string {
  const { target, isReadOnly } = drive;
  const tls = target.isTls ? " tls='yes'" : '';
  const discard = isReadOnly ? '' : " discard='unmap'";
  return [
    `<disk type='network' device='disk'>`,
    `  <driver name='qemu' type='raw'${discard}/>`,
    `  <source protocol='nbd' name='${escape(target.secret)}'${tls}>`,
    `    ${hostOf(target)}`,
    `    <reconnect delay='${RECONNECT_SECONDS}'/>`,
    `  </source>`,
    `  <target dev='vdb' bus='virtio'/>`,
    `  <serial>${escape(serialOf(drive))}</serial>`,
    ...(isReadOnly ? ['  <readonly/>'] : []),
    `</disk>`,
  ].join('\n');
}

function hostOf({ endpoint }: NbdTarget): string {
  if (endpoint.kind === 'unix') return `<host transport='unix' socket='${escape(endpoint.path)}'/>`;
  return `<host name='${escape(endpoint.host)}' port='${endpoint.port}'/>`;
}

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  "'": '&apos;',
  '"': '&quot;',
};

function escape(text: string): string {
  return text.replace(/[&<>'"]/g, (character) => ENTITIES[character] ?? character);
}
