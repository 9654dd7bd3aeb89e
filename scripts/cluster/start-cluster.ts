import { randomBytes, randomUUID } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { databaseUrl, startScratchPostgres } from '../../src/metadata/postgres/scratch-postgres.ts';
import { startLoadBalancer } from './load-balancer.ts';
import { startNode } from './node-process.ts';
import type { NodeProcess } from './node-process.ts';
import { startCephCluster } from './start-ceph.ts';

const NODES = ['node-a', 'node-b'];
const CEPH_POOL = 'drives';
const CEPH_USER = 'drivebay';

export interface ClusterOptions {
  /** Where everything is; it exists. */
  readonly directory: string;
  /** The load balancer's port; those of the nodes, for HTTP and for NBD, come after it. */
  readonly port: number;
}

/** What a user needs to know of a running cluster. */
export interface ClusterFacts {
  readonly url: string;
  /** The administrator's USER:KEY. */
  readonly auth: string;
  readonly nodes: readonly { readonly url: string; readonly nbdAddress: string }[];
  readonly databaseUrl: string;
  readonly cephConfPath: string;
}

/** Starts PostgreSQL, Ceph, two nodes of Drivebay and nginx in front of them, all on loopback. */
export async function startCluster(options: ClusterOptions): Promise<ClusterFacts & AsyncDisposable> {
  const { directory, port } = options;
  await using parts = new AsyncDisposableStack();
  const cephStarting = startCephCluster();
  const postgres = parts.use(await startScratchPostgres({ isDurable: true }));
  const database = databaseUrl(await postgres.createDatabase());
  const ceph = parts.use(await cephStarting);
  await ceph.createPool(CEPH_POOL);
  const rights = ['mon', 'profile rbd', 'osd', `profile rbd pool=${CEPH_POOL}`];
  const keyring = await ceph.createUser(CEPH_USER, rights);

  const configPath = join(directory, 'drivebay.yaml');
  const rbd = { pool: CEPH_POOL, user: CEPH_USER, keyring, conf: ceph.confPath };
  await writeFile(configPath, JSON.stringify({ pools: [{ name: 'ceph', rbd }] }, null, 2));
  const [user, key] = [randomUUID(), randomBytes(16).toString('hex')];
  const env = {
    DRIVEBAY_METADATA: database,
    DRIVEBAY_MASTER_KEY: randomBytes(32).toString('hex'),
    DRIVEBAY_ADMIN_USER: user,
    DRIVEBAY_ADMIN_KEY: key,
  };
  const nodes: NodeProcess[] = [];
  for (const [index, name] of NODES.entries()) {
    const ports = { httpPort: port + 1 + index, nbdPort: port + 1 + NODES.length + index };
    nodes.push(parts.use(await startNode({ name, directory, configPath, env, ...ports })));
  }
  parts.use(
    await startLoadBalancer({ directory, port, nodePorts: NODES.map((_, index) => port + 1 + index) }),
  );
  const running = parts.move();
  return {
    url: `http://127.0.0.1:${port}`,
    auth: `${user}:${key}`,
    nodes: nodes.map(({ url, nbdAddress }) => ({ url, nbdAddress })),
    databaseUrl: database,
    cephConfPath: ceph.confPath,
    [Symbol.asyncDispose]: async () => await running.disposeAsync(),
  };
}
