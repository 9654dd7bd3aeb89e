import { execFile, spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { randomInt, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { cephCluster } from './ceph-cluster.ts';
import type { CephCluster } from './ceph-cluster.ts';

const run = promisify(execFile);

const OSDS = 3;
/** What an OSD may store; its file takes only what it does store. */
const OSD_BYTES = 20 * 1024 ** 3;
/** Modules of the manager that nobody needs here, and that take longer to load than everything else. */
const NEEDLESS_MODULES =
  'balancer crash devicehealth orchestrator pg_autoscaler progress rbd_support restful status telemetry volumes';

const LOOPBACK = '127.0.0.1';

/**
 * Starts an empty Ceph cluster from Debian's packages, on loopback or another address: one monitor, one manager and three
 * OSDs, which keep two copies, in one directory. It takes about 0.8 GB of memory, and ends with this process at the latest.
 */
export async function startCephCluster({ address = LOOPBACK } = {}): Promise<CephCluster & AsyncDisposable> {
  const directory = await mkdtemp(join(tmpdir(), 'drivebay-ceph-'));
  const daemons: Daemon[] = [];
  const dispose = async (): Promise<void> => {
    await Promise.all(daemons.map((daemon) => daemon.stop()));
    await rm(directory, { recursive: true, force: true });
  };
  try {
    // Below the range that connections are given their ports from.
    const monitor = `${address}:${randomInt(15_000, 32_000)}`;
    const cluster = cephCluster(directory);
    await writeFile(cluster.confPath, settingsText({ directory, address, monitor }));
    const start = (kind: string, id: string): void => void daemons.push(startDaemon(cluster, kind, id));
    await makeMonitor(cluster, monitor);
    start('mon', 'a');
    await makeDaemonKeys(cluster);
    start('mgr', 'x');
    await Promise.all(
      Array.from({ length: OSDS }, async (_, id) => {
        const make = ['--conf', cluster.confPath, '--id', String(id), '--mkfs', '--osd-uuid', osdUuid(id)];
        await run('ceph-osd', make, { cwd: directory });
        start('osd', String(id));
      }),
    );
    await cluster.ceph('osd', 'require-osd-release', 'pacific');
    return { ...cluster, [Symbol.asyncDispose]: dispose };
  } catch (error) {
    await dispose();
    throw error;
  }
}

interface Daemon {
  stop(): Promise<void>;
}

/** Runs `ceph-mon`, `ceph-mgr` or `ceph-osd`, again and again if it is killed by somebody else. */
function startDaemon({ confPath, directory }: CephCluster, kind: string, id: string): Daemon {
  // The kernel ends it when this process ends, however that happens.
  const args = ['--pdeathsig', 'KILL', `ceph-${kind}`, '-f', '--conf', confPath, '--id', id];
  let isStopping = false;
  const launch = (): ChildProcess => {
    const started = spawn('setpriv', args, { cwd: directory, stdio: 'ignore' });
    started.on('exit', (_code, signal) => {
      if (!isStopping && signal !== null) child = launch();
    });
    return started;
  };
  let child = launch();
  return {
    async stop() {
      isStopping = true;
      if (child.exitCode !== null || child.signalCode !== null) return;
      const exited = once(child, 'exit');
      child.kill('SIGKILL');
      await exited;
    },
  };
}

function settingsText(options: { directory: string; address: string; monitor: string }): string {
  const { directory, address, monitor } = options;
  return `[global]
fsid = ${randomUUID()}
mon initial members = a
mon host = v2:${monitor}
public addr = ${address}
ms bind msgr1 = false
keyring = ${directory}/$name.keyring
pid file = ${directory}/$name.pid
run dir = ${directory}
log file = ${directory}/$name.log
admin socket = ""
auth allow insecure global id reclaim = false
osd pool default size = 2
osd pool default min size = 1
osd crush chooseleaf type = 0
[client]
keyring = ${directory}/$cluster.$name.keyring
pid file = ""
log file = ""
[mon]
mon data = ${directory}/mon
mon data avail warn = 1
mon data avail crit = 1
mon allow pool delete = true
mon osd min down reporters = 1
mon osd down out interval = 3600
[mgr]
mgr data = ${directory}/mgr
mgr disabled modules = ${NEEDLESS_MODULES}
mgr stats period = 1
[osd]
osd data = ${directory}/osd.$id
osd objectstore = bluestore
bluestore block create = true
bluestore block size = ${OSD_BYTES}
bluestore cache autotune = false
bluestore cache size = 33554432
osd heartbeat grace = 5
osd heartbeat interval = 1
osd client watch timeout = 6
`;
}

async function makeMonitor({ directory, confPath }: CephCluster, monitor: string): Promise<void> {
  const [keyring, map] = [join(directory, 'mon.a.keyring'), join(directory, 'monmap')];
  const admin = join(directory, 'ceph.client.admin.keyring');
  const all = ['mon', 'osd', 'mgr'].flatMap((kind) => ['--cap', kind, 'allow *']);
  const create = ['--create-keyring', '--gen-key', '--name'];
  await run('ceph-authtool', [admin, ...create, 'client.admin', ...all]);
  await run('ceph-authtool', [keyring, ...create, 'mon.', '--cap', 'mon', 'allow *']);
  await run('ceph-authtool', [keyring, '--import-keyring', admin]);
  await run('monmaptool', ['--conf', confPath, '--create', '--addv', 'a', `[v2:${monitor}]`, map]);
  await mkdir(join(directory, 'mon'));
  const make = ['--conf', confPath, '--id', 'a', '--mkfs', '--monmap', map, '--keyring', keyring];
  await run('ceph-mon', make, { cwd: directory });
}

/** The keys of the manager and the OSDs, all asked for at once: each run of `ceph` takes a second. */
async function makeDaemonKeys({ directory, ceph }: CephCluster): Promise<void> {
  await mkdir(join(directory, 'mgr'));
  const manager = ['mon', 'allow profile mgr', 'osd', 'allow *'];
  const osd = ['mon', 'allow profile osd', 'mgr', 'allow profile osd', 'osd', 'allow *'];
  await Promise.all([
    ceph('auth', 'get-or-create', 'mgr.x', ...manager, '-o', join(directory, 'mgr.x.keyring')),
    ...Array.from({ length: OSDS }, async (_, id) => {
      await mkdir(join(directory, `osd.${id}`));
      const keyring = join(directory, `osd.${id}.keyring`);
      await ceph('auth', 'get-or-create', `osd.${id}`, ...osd, '-o', keyring);
      await ceph('osd', 'new', osdUuid(id), String(id));
    }),
  ]);
}

function osdUuid(id: number): string {
  return `00000000-0000-4000-8000-00000000000${id}`;
}
