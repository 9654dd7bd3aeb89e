import { RECONNECT_SECONDS } from './attached-drive.ts';
import type { NbdDrive } from './attached-drive.ts';
import { diskElement } from './disk-element.ts';
import type { NbdTarget } from './nbd-target.ts';
import { xmlText } from './xml-text.ts';

/** A `disk` element for a domain of libvirt that uses the drive by way of Drivebay. */
export function libvirtDisk(drive: NbdDrive): string {
  const { target } = drive;
  const tls = target.isTls ? " tls='yes'" : '';
  return diskElement(drive, [
    `<source protocol='nbd' name='${xmlText(target.secret)}'${tls}>`,
    `  ${hostOf(target)}`,
    `  <reconnect delay='${RECONNECT_SECONDS}'/>`,
    `</source>`,
  ]);
}

function hostOf({ endpoint }: NbdTarget): string {
  if (endpoint.kind === 'unix') return `<host transport='unix' socket='${xmlText(endpoint.path)}'/>`;
  return `<host name='${xmlText(endpoint.host)}' port='${endpoint.port}'/>`;
}
