import { execFile } from 'node:child_process';
import { chmod, copyFile, mkdir, readdir } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** What a guest is started from. */
export interface GuestFiles {
  readonly kernel: string;
  readonly initramfs: string;
  /** An ext4 file system without a partition table: the guest's root. */
  readonly rootImage: string;
}

/** Debian's current kernel for virtual machines, and what does without any library. */
const KERNEL_PACKAGE = 'linux-image-cloud-amd64';
const BUSYBOX_PACKAGE = 'busybox-static';
/** In the order in which they need each other; those that this kernel has built in are not among its files. */
const MODULES = [
  'virtio_ring',
  'virtio',
  'virtio_pci_legacy_dev',
  'virtio_pci_modern_dev',
  'virtio_pci',
  'virtio_blk',
  'crc16',
  'crc32c_generic',
  'mbcache',
  'jbd2',
  'ext4',
];
const ROOT_BYTES = 128 * 1024 * 1024;

/** Why there can be no guest on this machine; null when there can. */
export async function guestProblem(): Promise<string | null> {
  try {
    await run('qemu-system-x86_64', ['--version']);
    // Package lists may be absent, as they are in a fresh container.
    await kernelPackage().catch(() => run('apt-get', ['update']));
    await kernelPackage();
    return null;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/** Makes them in an empty directory of the caller's. */
export async function makeGuestFiles(directory: string): Promise<GuestFiles> {
  const unpacked = join(directory, 'unpacked');
  await unpackPackages(directory, unpacked);
  const files = await readdir(unpacked, { recursive: true, withFileTypes: true });
  const find = (name: RegExp): string | null => {
    const found = files.find((file) => file.isFile() && name.test(file.name));
    return found === undefined ? null : join(found.parentPath, found.name);
  };
  const kernel = find(/^vmlinuz-/);
  const busybox = find(/^busybox$/);
  if (kernel === null || busybox === null) throw new Error('the packages lack a kernel or busybox');
  const modules = MODULES.map((name) => find(new RegExp(`^${name}\\.ko(\\.xz)?$`)));
  return {
    kernel,
    initramfs: await makeInitramfs(
      directory,
      busybox,
      modules.filter((path) => path !== null),
    ),
    rootImage: await makeRootImage(directory, busybox),
  };
}

/** The package that the kernel itself is in. */
async function kernelPackage(): Promise<string> {
  const { stdout } = await run('apt-cache', ['depends', KERNEL_PACKAGE]);
  const name = /Depends: (linux-image-\S+)/.exec(stdout)?.[1];
  if (name === undefined) throw new Error(`apt knows no package ${KERNEL_PACKAGE}`);
  return name;
}

/** Nothing is installed: the packages are fetched and opened, and their scripts do not run. */
async function unpackPackages(directory: string, unpacked: string): Promise<void> {
  await run('apt-get', ['download', await kernelPackage(), BUSYBOX_PACKAGE], { cwd: directory });
  const archives = (await readdir(directory)).filter((name) => name.endsWith('.deb'));
  for (const archive of archives) await run('dpkg-deb', ['-x', join(directory, archive), unpacked]);
}

async function makeInitramfs(
  directory: string,
  busybox: string,
  modules: readonly string[],
): Promise<string> {
  const root = join(directory, 'initramfs');
  await makeTree(root, { busybox, init: 'initramfs-init.sh', folders: ['disk', 'modules'] });
  for (const [index, module] of modules.entries()) {
    // They are loaded in the order of their names.
    const target = join(root, 'modules', `${String(index).padStart(2, '0')}-${basename(module)}`);
    await copyFile(module, target);
    if (target.endsWith('.xz')) await run('xz', ['--decompress', target]);
  }
  const path = join(directory, 'initramfs.cpio');
  await run('sh', ['-c', 'find . | cpio --quiet -o -H newc >"$1"', 'sh', path], { cwd: root });
  return path;
}

async function makeRootImage(directory: string, busybox: string): Promise<string> {
  const root = join(directory, 'root');
  await makeTree(root, { busybox, init: 'root-init.sh', folders: ['data'] });
  const path = join(directory, 'root.img');
  await run('/sbin/mke2fs', ['-q', '-t', 'ext4', '-d', root, path, `${ROOT_BYTES / 1024}k`]);
  return path;
}

async function makeTree(
  root: string,
  { busybox, init, folders }: { busybox: string; init: string; folders: readonly string[] },
): Promise<void> {
  for (const folder of ['bin', 'dev', ...folders]) await mkdir(join(root, folder), { recursive: true });
  await copyFile(busybox, join(root, 'bin/busybox'));
  await copyFile(fileURLToPath(new URL(init, import.meta.url)), join(root, 'init'));
  await chmod(join(root, 'init'), 0o755);
}
