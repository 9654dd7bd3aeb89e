import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** A running cluster of `startCephCluster`, as its administrator sees it. */
export interface CephCluster {
  readonly directory: string;
  /** What clients read: where the monitor is, and the administrator's keyring. */
  readonly confPath: string;
  /** Runs `ceph`; answers what it prints. */
  ceph(...args: readonly string[]): Promise<string>;
  /** Runs `rbd`; answers what it prints. */
  rbd(...args: readonly string[]): Promise<string>;
  /** Runs `rados`; answers what it prints. */
  rados(...args: readonly string[]): Promise<string>;
  /** Makes a pool for RBD images, and waits until the cluster's statistics know of its room. */
  createPool(name: string): Promise<void>;
  /** Makes a user with these capabilities; answers the path of its keyring. */
  createUser(name: string, capabilities: readonly string[]): Promise<string>;
  /** Sends a signal to a daemon such as `osd.0`. One that is killed is started again at once. */
  signal(daemon: string, signal: 'SIGKILL' | 'SIGSTOP' | 'SIGCONT'): void;
}

/** How long the monitor may take to answer. */
const CONNECT_TIMEOUT_SECONDS = 30;

/** @param directory that of the cluster */
export function cephCluster(directory: string): CephCluster {
  const confPath = join(directory, 'ceph.conf');
  const command = async (program: string, args: readonly string[]): Promise<string> =>
    (await run(program, ['--conf', confPath, ...args])).stdout;
  const ceph = async (...args: readonly string[]): Promise<string> =>
    await command('ceph', ['--connect-timeout', String(CONNECT_TIMEOUT_SECONDS), ...args]);
  return {
    directory,
    confPath,
    ceph,
    rbd: async (...args) => await command('rbd', args),
    rados: async (...args) => await command('rados', args),
    async createPool(name) {
      await ceph('osd', 'pool', 'create', name, '16', '16');
      await ceph('osd', 'pool', 'application', 'enable', name, 'rbd');
      while (!hasRoom(await ceph('df', '--format', 'json'), name)) await sleep(200);
    },
    async createUser(name, capabilities) {
      const keyring = join(directory, `ceph.client.${name}.keyring`);
      await ceph('auth', 'get-or-create', `client.${name}`, ...capabilities, '-o', keyring);
      return keyring;
    },
    signal(daemon, signal) {
      process.kill(Number(readFileSync(join(directory, `${daemon}.pid`), 'utf8')), signal);
    },
  };
}

function hasRoom(json: string, poolName: string): boolean {
  const { pools } = JSON.parse(json) as { pools: { name: string; stats: { max_avail: number } }[] };
  return (pools.find(({ name }) => name === poolName)?.stats.max_avail ?? 0) > 0;
}
