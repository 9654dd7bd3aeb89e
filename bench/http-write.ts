import { join } from 'node:path';
import { run } from './lib/command.ts';
import { startDrivebay } from './lib/drivebay-server.ts';
import { createDrive, MIB, PIECE_BYTES, WARM_REQUESTS, writeDrive } from './lib/drives.ts';
import { inTurn } from './lib/measure.ts';
import type { Benchmark } from './lib/measure.ts';

const SIZE_BYTES = 512 * MIB;
const JOBS = 4;
/** How often each run overwrites everything. */
const LOOPS = 4;

/** Durable encrypted writes of 4 MiB over HTTP, against fio writing the same amount to the same directory. */
export const httpWrite: Benchmark = {
  name: 'http-write',
  async run(context) {
    await using server = await startDrivebay(join(context.diskDirectory, 'data'));
    const drive = await createDrive(server, { sizeBytes: SIZE_BYTES, cipher: 'aes-xts-plain' });
    const load = { sizeBytes: SIZE_BYTES, connections: JOBS };
    await writeDrive(server, drive, { ...load, requests: WARM_REQUESTS });
    const requests = (LOOPS * SIZE_BYTES) / PIECE_BYTES;
    const figures = await inTurn(context.runs, {
      ours: () => writeDrive(server, drive, { ...load, requests }),
      peer: () => writeWithFio(context.diskDirectory),
    });
    return [
      {
        work: 'HTTP write, encrypted, durable',
        unit: 'MiB/s',
        better: 'higher',
        peerName: 'fio psync, 4 jobs, fdatasync each',
        target: 0.8,
        ...figures,
      },
    ];
  },
};

/** Overwrites files laid out before, as ours overwrites a drive that was written before. */
async function writeWithFio(directory: string): Promise<number> {
  const output = await run('fio', [
    '--name=bench',
    `--directory=${directory}`,
    '--ioengine=psync',
    '--rw=write',
    '--bs=4M',
    `--size=${SIZE_BYTES / JOBS}`,
    `--numjobs=${JOBS}`,
    `--loops=${LOOPS}`,
    '--fdatasync=1',
    '--overwrite=1',
    '--group_reporting',
    '--output-format=json',
  ]);
  const report = JSON.parse(output) as { jobs: { write: { bw_bytes: number } }[] };
  const [job] = report.jobs;
  if (job === undefined) throw new Error('fio reported nothing.');
  return job.write.bw_bytes / MIB;
}
