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
  /** How the file came into the page cache; by random reads where it is not said. */
  readonly cachedBy?: 'reading from front to back';
}

const PLAIN: readonly Work[] = [
  work('4 KiB random read, depth 32', 'randread', { block: '4k', depth: 32, nbdkit: 1.5, qemu: 3 }),
  work('4 KiB random write, depth 32', 'randwrite', { block: '4k', depth: 32, nbdkit: 1.2, qemu: 2 }),
  readBefore(
    work('4 KiB random write, depth 32', 'randwrite', { block: '4k', depth: 32, nbdkit: null, qemu: null }),
  ),
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
  readBefore(
    work('encrypted, 4 KiB random write, depth 32', 'randwrite', {
      block: '4k',
      depth: 32,
      nbdkit: null,
      qemu: null,
    }),
  ),
];

function work(
  name: string,
  rw: FioWork['rw'],
  { block, ...rest }: { block: string; depth: number; nbdkit: number | null; qemu: number | null },
): Work {
  return { name, rw, blockSize: block, connections: 1, ...rest };
}

/** The same work after the file was read from front to back, which leaves it in the cache in large folios. */
function readBefore(each: Work): Work {
  return { ...each, name: `${each.name}, after a sequential read`, cachedBy: 'reading from front to back' };
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
    await cacheAnew(volume.path, each);
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
 * Brings the whole file into the page cache, as the work that follows would: in pages for random work, and read from front to
 * back for sequential work. It is taken out first: how large the folios are that the system keeps of it, which depends on
 * how they came there, changes random writes by a factor of four to seven for everybody.
 */
async function cacheAnew(path: string, { rw, cachedBy }: Work): Promise<void> {
  await run('sync', [path]);
  await run('dd', [`if=${path}`, 'iflag=nocache', 'count=0', 'status=none']);
  if (rw.startsWith('rand') && cachedBy === undefined) await readAtRandom(path);
  else await run('dd', [`if=${path}`, 'of=/dev/null', 'bs=1M', 'status=none']);
}

/** Reads the whole file in random order, which the system is told, so that it reads nothing ahead. */
async function readAtRandom(path: string): Promise<void> {
  const size = `--size=${SIZE_BYTES}`;
  const engine = ['--ioengine=psync', '--fadvise_hint=random', '--readonly', '--output=/dev/null'];
  await run('fio', ['--name=cache', `--filename=${path}`, '--rw=randread', '--bs=128k', size, ...engine]);
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
