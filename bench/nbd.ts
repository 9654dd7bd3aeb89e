import { join } from 'node:path';
import { run } from './lib/command.ts';
import { startDrivebay } from './lib/drivebay-server.ts';
import type { DrivebayServer } from './lib/drivebay-server.ts';
import { attach, createDrive, exportPassphrase, MIB, writeDrive } from './lib/drives.ts';
import { runFioNbd } from './lib/fio-nbd.ts';
import type { FioWork } from './lib/fio-nbd.ts';
import { inTurn } from './lib/measure.ts';
import type { BenchContext, Benchmark, Row } from './lib/measure.ts';
import { startNbdkit, startQemuNbd } from './lib/nbd-peers.ts';
import type { NbdPeer } from './lib/nbd-peers.ts';

const SIZE_BYTES = 512 * MIB;

/** A piece of work, and how many times faster than each peer it has to be. */
interface Work extends FioWork {
  readonly name: string;
  readonly nbdkit: number | null;
  readonly qemu: number | null;
}

const PLAIN: readonly Work[] = [
  work('4 KiB random read, depth 32', 'randread', { block: '4k', depth: 32, nbdkit: 1.5, qemu: 3 }),
  work('4 KiB random write, depth 32', 'randwrite', { block: '4k', depth: 32, nbdkit: 1.2, qemu: 2 }),
  work('4 KiB random read, depth 1', 'randread', { block: '4k', depth: 1, nbdkit: 1, qemu: null }),
  work('256 KiB sequential read', 'read', { block: '256k', depth: 8, nbdkit: 1, qemu: 1.5 }),
  work('256 KiB sequential write', 'write', { block: '256k', depth: 8, nbdkit: 1, qemu: 1.5 }),
  {
    ...work('4 KiB random read, depth 32, 4 connections', 'randread', {
      block: '4k',
      depth: 32,
      nbdkit: 1,
      qemu: null,
    }),
    connections: 4,
  },
];
const ENCRYPTED: readonly Work[] = [
  work('encrypted, 256 KiB sequential read', 'read', { block: '256k', depth: 8, nbdkit: 2, qemu: 3 }),
  work('encrypted, 256 KiB sequential write', 'write', { block: '256k', depth: 8, nbdkit: 2, qemu: 3 }),
  work('encrypted, 4 KiB random read, depth 32', 'randread', { block: '4k', depth: 32, nbdkit: 2, qemu: 3 }),
  work('encrypted, 4 KiB random write, depth 32', 'randwrite', {
    block: '4k',
    depth: 32,
    nbdkit: 2,
    qemu: 3,
  }),
];

function work(
  name: string,
  rw: FioWork['rw'],
  { block, ...rest }: { block: string; depth: number; nbdkit: number | null; qemu: number | null },
): Work {
  return { name, rw, blockSize: block, connections: 1, ...rest };
}

/** A drive over NBD on a Unix socket, against nbdkit and qemu-nbd on the very file that holds it, in the page cache. */
export const nbd: Benchmark = {
  name: 'nbd',
  run: (context) => measure(context, 'none'),
};

/** The same of an encrypted drive, which the others open with its exported key. */
export const nbdEncrypted: Benchmark = {
  name: 'nbd-encrypted',
  run: (context) => measure(context, 'aes-xts-plain'),
};

async function measure(context: BenchContext, cipher: 'none' | 'aes-xts-plain'): Promise<readonly Row[]> {
  const directory = join(context.diskDirectory, cipher);
  const socket = join(context.diskDirectory, `${cipher}.sock`);
  await using server = await startDrivebay(directory, ['--nbd-socket', socket, '--log-level', 'warn']);
  const drive = await createDrive(server, { sizeBytes: SIZE_BYTES, cipher });
  await writeDrive(server, drive, { sizeBytes: SIZE_BYTES, connections: 4 });
  const volume = await volumeOf(server, drive, { cipher, passphraseFile: `${directory}.passphrase` });
  const uri = await attach(server, drive);
  await using nbdkit = await startNbdkit(join(context.diskDirectory, `nbdkit-${cipher}.sock`), volume);
  await using qemu = await startQemuNbd(join(context.diskDirectory, `qemu-${cipher}.sock`), volume);
  const rows: Row[] = [];
  for (const each of cipher === 'none' ? PLAIN : ENCRYPTED) {
    context.log(each.name);
    await cacheAnew(volume.path);
    rows.push(await against(context, { each, uri, peer: nbdkit, target: each.nbdkit }));
    rows.push(await against(context, { each, uri, peer: qemu, target: each.qemu }));
  }
  return rows;
}

async function against(
  context: BenchContext,
  { each, uri, peer, target }: { each: Work; uri: string; peer: NbdPeer; target: number | null },
): Promise<Row> {
  const figures = await inTurn(context.runs, {
    ours: () => runFioNbd(uri, each),
    peer: () => runFioNbd(peer.uri, each),
  });
  const unit = each.blockSize === '4k' ? '/s' : 'MiB/s';
  return { work: `NBD ${each.name}`, unit, better: 'higher', peerName: peer.name, target, ...figures };
}

/**
 * Brings the whole file into the page cache, from front to back. It is taken out first: how large the pages are that
 * the system keeps of it, which depends on how they came there, changes random writes by a factor of four for everybody.
 */
async function cacheAnew(path: string): Promise<void> {
  await run('sync', [path]);
  await run('dd', [`if=${path}`, 'iflag=nocache', 'count=0', 'status=none']);
  await run('dd', [`if=${path}`, 'of=/dev/null', 'bs=1M', 'status=none']);
}

/** The file that holds the drive, and what opens it. */
async function volumeOf(
  server: DrivebayServer,
  drive: string,
  { cipher, passphraseFile }: { cipher: string; passphraseFile: string },
): Promise<{ path: string; passphraseFile: string | null }> {
  const path = join(server.dataDirectory, 'pools', 'default', 'drives', drive.slice(0, 2), `${drive}.img`);
  if (cipher === 'none') return { path, passphraseFile: null };
  await exportPassphrase(server, drive, passphraseFile);
  return { path, passphraseFile };
}
