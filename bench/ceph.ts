import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { CephCluster } from '../scripts/cluster/ceph-cluster.ts';
import { startCephCluster } from '../scripts/cluster/start-ceph.ts';
import { startDrivebay } from './lib/drivebay-server.ts';
import type { DrivebayServer } from './lib/drivebay-server.ts';
import {
  attach,
  createDrive,
  exportPassphrase,
  MIB,
  PIECE_BYTES,
  readDrive,
  WARM_REQUESTS,
  writeDrive,
} from './lib/drives.ts';
import { runFioNbd, runFioRbd } from './lib/fio-nbd.ts';
import type { FioWork } from './lib/fio-nbd.ts';
import { inTurn } from './lib/measure.ts';
import type { BenchContext, Benchmark, Row } from './lib/measure.ts';
import { startQemuNbdOnRbd } from './lib/nbd-peers.ts';

const CEPH_POOL = 'bench';
const SIZE_BYTES = 512 * MIB;
const CONNECTIONS = 4;

/** Seconds of each work after which the server's code is compiled: at 7000 requests a second that takes a while. */
const WARM_RUNS = 5;

type CephWork = FioWork & {
  readonly name: string;
  readonly fio: number | null;
  readonly qemu: number | null;
};

const RANDOM = { blockSize: '4k', depth: 32, connections: 1 } as const;
const NBD_WORKS: readonly [CephWork, CephWork] = [
  { name: '4 KiB random read, depth 32', rw: 'randread', ...RANDOM, fio: 0.9, qemu: 1.2 },
  { name: '4 KiB random write, depth 32', rw: 'randwrite', ...RANDOM, fio: null, qemu: null },
];

/** A drive in a Ceph cluster on this machine, against Ceph's own tools and QEMU's on the same cluster. */
export const ceph: Benchmark = {
  name: 'ceph',
  async run(context) {
    await using cluster = await startCephCluster();
    await cluster.createPool(CEPH_POOL);
    const socket = join(context.diskDirectory, 'nbd.sock');
    const config = join(context.diskDirectory, 'config.yaml');
    const rbd = { pool: CEPH_POOL, user: 'admin', conf: cluster.confPath };
    writeFileSync(config, JSON.stringify({ pools: [{ name: 'ceph', rbd }] }));
    const args = ['--nbd-socket', socket, '--config', config];
    await using server = await startDrivebay(join(context.diskDirectory, 'data'), args);
    const drive = await createDrive(server, { sizeBytes: SIZE_BYTES, cipher: 'none' });
    return [
      ...(await transferRows(context, { cluster, server, drive })),
      ...(await nbdRows(context, { cluster, server, drive })),
    ];
  },
};

interface Sides {
  readonly cluster: CephCluster;
  readonly server: DrivebayServer;
  readonly drive: string;
}

/** Pieces of 4 MiB over HTTP, against `rbd bench`, which speaks to the cluster without a server between. */
async function transferRows(
  context: BenchContext,
  { cluster, server, drive }: Sides,
): Promise<readonly Row[]> {
  const load = { sizeBytes: SIZE_BYTES, connections: CONNECTIONS };
  const requests = SIZE_BYTES / PIECE_BYTES;
  await cluster.rbd('create', `${CEPH_POOL}/peer`, '--size', `${SIZE_BYTES / MIB}M`);
  const common = { unit: 'MiB/s', better: 'higher', peerName: 'rbd bench', target: 1 } as const;
  context.log('HTTP, warming up');
  await writeDrive(server, drive, { ...load, requests: WARM_REQUESTS });
  await readDrive(server, drive, { ...load, requests: WARM_REQUESTS });
  context.log('HTTP write');
  const write = await inTurn(context.runs, {
    ours: () => writeDrive(server, drive, load),
    peer: () => rbdBench(cluster, 'write'),
  });
  context.log('HTTP read');
  const read = await inTurn(context.runs, {
    ours: () => readDrive(server, drive, { ...load, requests }),
    peer: () => rbdBench(cluster, 'read'),
  });
  return [
    { work: 'Ceph: HTTP write, 4 MiB, 4 connections', ...common, ...write },
    { work: 'Ceph: HTTP read, 4 MiB, 4 connections', ...common, ...read },
  ];
}

async function rbdBench(cluster: CephCluster, ioType: 'read' | 'write'): Promise<number> {
  const sizes = [
    '--io-size',
    '4M',
    '--io-threads',
    String(CONNECTIONS),
    '--io-total',
    `${SIZE_BYTES / MIB}M`,
  ];
  const output = await cluster.rbd('bench', '--io-type', ioType, ...sizes, `${CEPH_POOL}/peer`);
  const [, pieces] = /ops\/sec: +([0-9.]+)/.exec(output) ?? [];
  if (pieces === undefined) throw new Error(`rbd bench reported nothing: ${output}`);
  return (Number(pieces) * PIECE_BYTES) / MIB;
}

async function nbdRows(context: BenchContext, sides: Sides): Promise<readonly Row[]> {
  const { cluster, server, drive } = sides;
  const uri = await attach(server, drive);
  const image = `${CEPH_POOL}/drivebay-${drive}`;
  const confPath = cluster.confPath;
  const peer = { image, confPath, passphraseFile: null };
  await using qemu = await startQemuNbdOnRbd(join(context.diskDirectory, 'qemu.sock'), peer);
  const rows: Row[] = [];
  context.log('NBD, warming up');
  for (let run = 0; run < WARM_RUNS; run += 1) {
    for (const work of NBD_WORKS) await runFioNbd(uri, work);
  }
  for (const work of NBD_WORKS) {
    context.log(work.name);
    const ours = (): Promise<number> => runFioNbd(uri, work);
    const common = { work: `Ceph: NBD ${work.name}`, unit: '/s', better: 'higher' } as const;
    const fio = await inTurn(context.runs, { ours, peer: () => runFioRbd(confPath, image, work) });
    rows.push({ ...common, peerName: 'fio rbd engine, no cache', target: work.fio, ...fio });
    const other = await inTurn(context.runs, { ours, peer: () => runFioNbd(qemu.uri, work) });
    rows.push({ ...common, peerName: qemu.name, target: work.qemu, ...other });
  }
  return [...rows, await encryptedRow(context, sides)];
}

async function encryptedRow(context: BenchContext, { cluster, server }: Sides): Promise<Row> {
  const [work] = NBD_WORKS;
  const drive = await createDrive(server, { sizeBytes: SIZE_BYTES, cipher: 'aes-xts-plain' });
  await writeDrive(server, drive, { sizeBytes: SIZE_BYTES, connections: CONNECTIONS });
  const passphraseFile = join(context.diskDirectory, 'passphrase');
  await exportPassphrase(server, drive, passphraseFile);
  const image = `${CEPH_POOL}/drivebay-${drive}`;
  const peer = { image, confPath: cluster.confPath, passphraseFile };
  await using qemu = await startQemuNbdOnRbd(join(context.diskDirectory, 'luks.sock'), peer);
  const uri = await attach(server, drive);
  context.log(`encrypted ${work.name}`);
  const figures = await inTurn(context.runs, {
    ours: () => runFioNbd(uri, work),
    peer: () => runFioNbd(qemu.uri, work),
  });
  const name = `Ceph: NBD encrypted, ${work.name}`;
  return { work: name, unit: '/s', better: 'higher', peerName: qemu.name, target: 1.5, ...figures };
}
