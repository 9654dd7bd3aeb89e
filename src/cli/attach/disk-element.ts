import { serialOf } from './attached-drive.ts';
import type { AttachedDrive } from './attached-drive.ts';
import { xmlText } from './xml-text.ts';

/**
 * A `disk` element for a domain of libvirt around the lines of its `source`. The device's name in `target` is for its user to
 * choose.
 */
export function diskElement(drive: AttachedDrive, source: readonly string[]): string {
  const { isReadOnly } = drive;
  return [
    `<disk type='network' device='disk'>`,
    `  <driver name='qemu' type='raw'${isReadOnly ? '' : " discard='unmap'"}/>`,
    ...source.map((line) => `  ${line}`),
    `  <target dev='vdb' bus='virtio'/>`,
    `  <serial>${xmlText(serialOf(drive))}</serial>`,
    ...(isReadOnly ? ['  <readonly/>'] : []),
    `</disk>`,
  ].join('\n');
}
