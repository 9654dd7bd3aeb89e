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
export async function runFioNbd(
  uri: string,
  { rw, blockSize, depth, connections }: FioWork,
): Promise<number> {
  const output = await run('fio', [
    '--name=bench',
    '--ioengine=nbd',
    `--uri=${uri}`,
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
  ]);
  const report = JSON.parse(output.slice(output.indexOf('{'))) as { jobs: Record<string, Side>[] };
  const side = report.jobs[0]?.[rw.endsWith('read') ? 'read' : 'write'];
  if (side === undefined || side.iops === 0) throw new Error(`fio reported nothing of ${uri}.`);
  return blockSize === '4k' ? side.iops : side.bw_bytes / MIB;
}

interface Side {
  readonly iops: number;
  readonly bw_bytes: number;
}
