import { RECONNECT_SECONDS, serialOf } from './attached-drive.ts';
import type { AttachedDrive } from './attached-drive.ts';
import type { NbdTarget } from './nbd-target.ts';

/** What QEMU is started with for one drive; each is the value of the option of its name. */
export interface QemuArguments {
  /** The client's TLS credentials, for a server that wants TLS. */
  readonly object: string | null;
  readonly blockdev: Readonly<Record<string, unknown>>;
  readonly device: string;
}

const TLS_ID = 'drivebay-tls';
/** Where QEMU and libvirt look for ca-cert.pem, and for client-cert.pem and client-key.pem if there are such. */
const TLS_DIRECTORY = '/etc/pki/qemu';
/** QEMU's names of block nodes have at most 31 characters. */
const NODE_ID_CHARACTERS = 22;

/** See "NBD" among the -blockdev drivers in QEMU's manual. */
export function qemuArguments(drive: AttachedDrive): QemuArguments {
  const { target, isReadOnly } = drive;
  const node = `drivebay-${drive.driveId.replaceAll('-', '').slice(0, NODE_ID_CHARACTERS)}`;
  return {
    object: target.isTls ? `tls-creds-x509,id=${TLS_ID},endpoint=client,dir=${TLS_DIRECTORY}` : null,
    blockdev: {
      driver: 'nbd',
      'node-name': node,
      server: serverOf(target),
      export: target.secret,
      'reconnect-delay': RECONNECT_SECONDS,
      ...(target.isTls ? { 'tls-creds': TLS_ID } : {}),
      ...(isReadOnly ? { 'read-only': true } : { discard: 'unmap' }),
    },
    device: `virtio-blk-pci,drive=${node},serial=${serialOf(drive)}`,
  };
}

/** The arguments as lines of a shell command, each but the last continued. */
export function qemuLines({ object, blockdev, device }: QemuArguments): string {
  return [
    ...(object === null ? [] : [`-object ${object}`]),
    `-blockdev ${quote(JSON.stringify(blockdev))}`,
    `-device ${device}`,
  ].join(' \\\n');
}

function serverOf({ endpoint }: NbdTarget): Readonly<Record<string, string>> {
  if (endpoint.kind === 'unix') return { type: 'unix', path: endpoint.path };
  return { type: 'inet', host: endpoint.host, port: String(endpoint.port) };
}

function quote(text: string): string {
  return `'${text.replaceAll("'", String.raw`'\''`)}'`;
}
