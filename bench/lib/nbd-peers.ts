import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect } from 'node:net';

/** Another NBD server, of a file. */
export interface NbdPeer extends AsyncDisposable {
  readonly name: string;
  readonly uri: string;
}

/** A file, and for a LUKS volume where its passphrase is. */
export interface PeerVolume {
  readonly path: string;
  readonly passphraseFile: string | null;
}

/** nbdkit's file plugin, below its luks filter for a LUKS volume, with its own choice of threads. */
export async function startNbdkit(socket: string, { path, passphraseFile }: PeerVolume): Promise<NbdPeer> {
  const luks = passphraseFile === null ? [] : ['--filter=luks'];
  const passphrase = passphraseFile === null ? [] : [`passphrase=+${passphraseFile}`];
  const args = ['--foreground', '--unix', socket, ...luks, 'file', path, ...passphrase];
  return await startPeer(passphraseFile === null ? 'nbdkit file' : 'nbdkit luks filter', {
    command: 'nbdkit',
    args,
    socket,
  });
}

/** qemu-nbd with its page cache and asynchronous threads, below its luks driver for a LUKS volume. */
export async function startQemuNbd(socket: string, { path, passphraseFile }: PeerVolume): Promise<NbdPeer> {
  const common = ['--socket', socket, '--persistent', '--shared=8', '--cache=writeback', '--aio=threads'];
  const image =
    passphraseFile === null
      ? ['--format=raw', path]
      : [
          `--object=secret,id=key,file=${passphraseFile}`,
          '--image-opts',
          `driver=luks,key-secret=key,file.driver=file,file.filename=${path}`,
        ];
  return await startPeer(passphraseFile === null ? 'qemu-nbd' : 'qemu-nbd luks', {
    command: 'qemu-nbd',
    args: [...common, ...image],
    socket,
  });
}

/** qemu-nbd on an RBD image, POOL/NAME, as the administrator, below its luks driver for a LUKS volume. */
export async function startQemuNbdOnRbd(
  socket: string,
  options: { image: string; confPath: string; passphraseFile: string | null },
): Promise<NbdPeer> {
  const { image, confPath, passphraseFile } = options;
  const [pool = '', name = ''] = image.split('/');
  const volume =
    passphraseFile === null
      ? ['--format=raw', `rbd:${image}:id=admin:conf=${confPath}`]
      : [
          `--object=secret,id=key,file=${passphraseFile}`,
          '--image-opts',
          `driver=luks,key-secret=key,file.driver=rbd,file.pool=${pool},file.image=${name},file.user=admin,file.conf=${confPath}`,
        ];
  const args = ['--socket', socket, '--persistent', '--cache=none', ...volume];
  const peerName = passphraseFile === null ? 'qemu-nbd on rbd' : 'qemu-nbd luks on rbd';
  return await startPeer(peerName, { command: 'qemu-nbd', args, socket });
}

async function startPeer(
  name: string,
  { command, args, socket }: { command: string; args: readonly string[]; socket: string },
): Promise<NbdPeer> {
  const child = spawn(command, args, { stdio: ['ignore', 'ignore', 'inherit'] });
  await waitForSocket(socket);
  return {
    name,
    uri: `nbd+unix:///?socket=${socket}`,
    async [Symbol.asyncDispose]() {
      child.kill('SIGTERM');
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
    },
  };
}

async function waitForSocket(path: string): Promise<void> {
  for (let attempt = 0; attempt < 200; attempt += 1) {
    const probe = connect(path);
    const isThere = await once(probe, 'connect').then(
      () => true,
      () => false,
    );
    probe.destroy();
    if (isThere) return;
    await new Promise((resolve) => {
      setTimeout(resolve, 25);
    });
  }
  throw new Error(`Nobody listens on ${path}.`);
}
