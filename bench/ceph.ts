import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { CephCluster } from '../scripts/cluster/ceph-cluster.ts';
import { startCephCluster } from '../scripts/cluster/start-ceph.ts';
import { startDrivebay } from './lib/drivebay-server.ts';
import type { DrivebayServer } from './lib/drivebay-server.ts';
import { createDrive, MIB, PIECE_BYTES, readDrive, writeDrive } from './lib/drives.ts';
import { runFioNbd, runFioRbd } from './lib/fio-nbd.ts';
import type { FioWork } from './lib/fio-nbd.ts';
import { inTurn } from './lib/measure.ts';
import type { BenchContext, Benchmark, Row } from './lib/measure.ts';
import { startQemuNbdOnRbd } from './lib/nbd-peers.ts';

const CEPH_POOL = 'bench';
const SIZE_BYTES = 512 * MIB;
const CONNECTIONS = 4;
const SERVER = '11111111-1111-4111-8111-111111111111';

const NBD_WORKS: readonly (FioWork & { readonly name: string })[] = [
  { name: '4 KiB random read, depth 32', rw: 'randread', blockSize: '4k', depth: 32, connections: 1 },
  { name: '4 KiB random write, depth 32', rw: 'randwrite', blockSize: '4k', depth: 32, connections: 1 },
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
  const common = { unit: 'MiB/s', better: 'higher', peerName: 'rbd bench', target: null } as const;
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

async function nbdRows(context: BenchContext, { cluster, server, drive }: Sides): Promise<readonly Row[]> {
  const claim = (await server.call('POST', `/drives/${drive}/claim`, { server: SERVER })) as Record<
    string,
    string
  >;
  const uri = claim['attach:unix'] ?? '';
  const image = `${CEPH_POOL}/drivebay-${drive}`;
  await using qemu = await startQemuNbdOnRbd(join(context.diskDirectory, 'qemu.sock'), {
    image,
    confPath: cluster.confPath,
  });
  const rows: Row[] = [];
  for (const { name, ...work } of NBD_WORKS) {
    context.log(name);
    const ours = (): Promise<number> => runFioNbd(uri, work);
    const common = { work: `Ceph: NBD ${name}`, unit: '/s', better: 'higher' } as const;
    const fio = await inTurn(context.runs, { ours, peer: () => runFioRbd(cluster.confPath, image, work) });
    rows.push({ ...common, peerName: 'fio rbd engine, no cache', target: 0.9, ...fio });
    const other = await inTurn(context.runs, { ours, peer: () => runFioNbd(qemu.uri, work) });
    rows.push({ ...common, peerName: qemu.name, target: null, ...other });
  }
  return rows;
}
