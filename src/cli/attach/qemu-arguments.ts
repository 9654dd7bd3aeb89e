import { nodeNameOf, RECONNECT_SECONDS, serialOf } from './attached-drive.ts';
import type { NbdDrive } from './attached-drive.ts';
import type { NbdTarget } from './nbd-target.ts';

/** What QEMU is started with for one drive; each is the value of the option of its name. */
export interface QemuArguments {
  /** The client's TLS credentials for a server that wants TLS, or the passphrase of what it decrypts itself. */
  readonly object: string | null;
  readonly blockdev: Readonly<Record<string, unknown>>;
  readonly device: string;
}

const TLS_ID = 'drivebay-tls';
/** Where QEMU and libvirt look for ca-cert.pem, and for client-cert.pem and client-key.pem if there are such. */
const TLS_DIRECTORY = '/etc/pki/qemu';

/** See "NBD" among the -blockdev drivers in QEMU's manual. */
export function qemuArguments(drive: NbdDrive): QemuArguments {
  const { target, isReadOnly } = drive;
  const node = nodeNameOf(drive);
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
    ...(object === null ? [] : [`-object ${shellWord(object)}`]),
    `-blockdev ${shellWord(JSON.stringify(blockdev))}`,
    `-device ${device}`,
  ].join(' \\\n');
}

function serverOf({ endpoint }: NbdTarget): Readonly<Record<string, string>> {
  if (endpoint.kind === 'unix') return { type: 'unix', path: endpoint.path };
  return { type: 'inet', host: endpoint.host, port: String(endpoint.port) };
}

/** In quotes where a shell would not take it as it is. */
function shellWord(text: string): string {
  return /^[\w,=./:-]+$/.test(text) ? text : `'${text.replaceAll("'", String.raw`'\''`)}'`;
}
