import { MIB } from './drives.ts';
import { run } from './command.ts';

/** What fio asks of an NBD server. */
export interface FioWork {
  readonly rw: 'read' | 'write' | 'randread' | 'randwrite';
  readonly blockSize: string;
  /** Requests under way at a time, for each connection. */
  readonly depth: number;
  readonly connections: number;
}

const SECONDS = 1;

/** Runs fio's nbd engine; returns requests a second for 4 KiB blocks, and MiB a second for others. */
export async function runFioNbd(uri: string, work: FioWork): Promise<number> {
  return await runFio(['--ioengine=nbd', `--uri=${uri}`], work);
}

/** The same of fio's rbd engine on an image, POOL/NAME, as the administrator, and without librbd's cache. */
export async function runFioRbd(confPath: string, image: string, work: FioWork): Promise<number> {
  const [pool = '', name = ''] = image.split('/');
  const engine = ['--ioengine=rbd', '--clientname=admin', `--pool=${pool}`, `--rbdname=${name}`];
  return await runFio(engine, work, { CEPH_CONF: confPath, CEPH_ARGS: '--rbd_cache=false' });
}

async function runFio(
  engine: readonly string[],
  { rw, blockSize, depth, connections }: FioWork,
  env: Readonly<Record<string, string>> = {},
): Promise<number> {
  const args = [
    '--name=bench',
    ...engine,
    `--rw=${rw}`,
    `--bs=${blockSize}`,
    `--iodepth=${depth}`,
    `--numjobs=${connections}`,
    '--thread=1',
    '--size=512M',
    '--time_based',
    `--runtime=${SECONDS}`,
    '--group_reporting',
    '--output-format=json',
  ];
  const output = await run('fio', args, { env });
  const report = JSON.parse(output.slice(output.indexOf('{'))) as { jobs: Record<string, Side>[] };
  const side = report.jobs[0]?.[rw.endsWith('read') ? 'read' : 'write'];
  if (side === undefined || side.iops === 0) throw new Error('fio reported nothing.');
  return blockSize === '4k' ? side.iops : side.bw_bytes / MIB;
}

interface Side {
  readonly iops: number;
  readonly bw_bytes: number;
}
