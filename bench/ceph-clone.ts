import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { startCephCluster } from '../scripts/cluster/start-ceph.ts';
import { startDrivebay } from './lib/drivebay-server.ts';
import { createDrive, imageDrive, MIB, writeDrive } from './lib/drives.ts';
import type { Benchmark } from './lib/measure.ts';

const GIB = 1024;
const SIZE_BYTES = 10 * GIB * MIB;
const CONNECTIONS = 4;
/** Copying so much takes minutes, and two copies of a third drive would not fit. */
const COPIES = 1;
/** Seconds after which the monitor hands out a snapshot's number at the latest. A cluster has 1 if nobody says otherwise. */
const QUICK_ROUND = '0.1';

/** A copy of a large drive that shares its blocks, against one that cannot because it lies in another pool of the same cluster. */
export const cephClone: Benchmark = {
  name: 'ceph-clone',
  async run(context) {
    await using cluster = await startCephCluster();
    const pools = [];
    for (const [name, tier] of [
      ['one', 'ssd'],
      ['other', 'disk'],
    ] as const) {
      await cluster.createPool(name);
      pools.push({ name, tier, rbd: { pool: name, user: 'admin', conf: cluster.confPath } });
    }
    const config = join(context.diskDirectory, 'config.yaml');
    writeFileSync(config, JSON.stringify({ pools }));
    await using server = await startDrivebay(join(context.diskDirectory, 'data'), ['--config', config]);
    const create = (tier: 'ssd' | 'disk'): Promise<string> =>
      createDrive(server, { sizeBytes: SIZE_BYTES, cipher: 'none', tier });
    const source = await create('ssd');
    context.log('writing the source');
    await writeDrive(server, source, { sizeBytes: SIZE_BYTES, connections: CONNECTIONS });
    const times = async (tier: 'ssd' | 'disk', runs: number): Promise<number[]> => {
      const seconds: number[] = [];
      for (let run = 0; run < runs; run += 1) {
        context.log(`copy onto a drive of tier ${tier}`);
        seconds.push(await imageDrive(server, { source, target: await create(tier) }));
      }
      return seconds;
    };
    const work = `Ceph: copy of a drive that holds ${SIZE_BYTES / MIB / GIB} GiB, in one pool`;
    const [ours, peer] = [await times('ssd', context.runs), await times('disk', COPIES)];
    await cluster.ceph('config', 'set', 'mon', 'paxos_propose_interval', QUICK_ROUND);
    const quick = await times('ssd', context.runs);
    const common = { unit: 's', better: 'lower', peerName: 'copying it to another pool', peer } as const;
    return [
      { ...common, work, target: 100, ours },
      { ...common, work: `${work}, paxos_propose_interval ${QUICK_ROUND}`, target: 100, ours: quick },
    ];
  },
};
