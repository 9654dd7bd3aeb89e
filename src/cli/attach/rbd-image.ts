import { textOf, type Info } from '../api/api-client.ts';

/** Where a claimed drive's image is in Ceph, and as whom the virtual machine comes there. */
export interface RbdImage {
  readonly cephPool: string;
  /** Null for the namespace without a name. */
  readonly namespace: string | null;
  readonly name: string;
  /** The monitors, as `mon_host` of Ceph's configuration; null where that says it. */
  readonly monitors: string | null;
  /** The Ceph user of the machine, without `client.`. */
  readonly user: string;
  /** The file with the passphrase of the LUKS volume in the image; null for a drive that is not encrypted. */
  readonly secretFile: string | null;
}

export interface MonitorHost {
  readonly host: string;
  readonly port: string;
}

/** Where monitors speak the protocol that every cluster has which Drivebay works with. */
const MONITOR_PORT = '3300';

/** Reads the answer to a claim by rbd; null when it does not say where the image is. */
export function readRbdImage(
  claim: Info,
  { user, secretFile }: Pick<RbdImage, 'user' | 'secretFile'>,
): RbdImage | null {
  const [cephPool, name] = [textOf(claim, 'rbd:pool'), textOf(claim, 'rbd:image')];
  if (cephPool === null || name === null) return null;
  const [namespace, monitors] = [textOf(claim, 'rbd:namespace'), textOf(claim, 'rbd:monitors')];
  return { cephPool, namespace, name, monitors, user, secretFile };
}

/** Pool, namespace and image, as Ceph's own tools take them. */
export function rbdPath({ cephPool, namespace, name }: RbdImage): string {
  return [cephPool, ...(namespace === null ? [] : [namespace]), name].join('/');
}

/** As `qemu-img` and `qemu-io` take it. What is encrypted is a LUKS volume there. */
export function rbdUri(image: RbdImage): string {
  const monitors = image.monitors === null ? [] : [`mon_host=${escaped(image.monitors)}`];
  return [`rbd:${rbdPath(image)}`, `id=${escaped(image.user)}`, ...monitors].join(':');
}

/** Colons separate options there. */
function escaped(value: string): string {
  return value.replaceAll(/[\\:=@]/g, String.raw`\$&`);
}

/**
 * The monitors one by one, for programs that take no `mon_host`; none when they are not given, or in a form that only Ceph
 * understands (`[v2:…,v1:…]`): then its configuration has to name them.
 */
export function monitorHosts({ monitors }: RbdImage): readonly MonitorHost[] {
  const words = (monitors ?? '').split(/[\s,;]+/).filter((word) => word !== '');
  const hosts = words.map((word) => /^(\[[0-9a-f:]+\]|[^:[\]]+)(?::(\d+))?$/i.exec(word));
  return hosts.every((match) => match !== null)
    ? hosts.map(([, host = '', port = MONITOR_PORT]) => ({ host: host.replace(/^\[(.*)\]$/, '$1'), port }))
    : [];
}
