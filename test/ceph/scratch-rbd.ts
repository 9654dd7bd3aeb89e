import { inject } from 'vitest';
import { openPool } from '../../src/blockdev/open-pool.ts';
import type { OpenPool } from '../../src/blockdev/open-pool.ts';
import { POOL_LIVES_BYTES } from '../../src/blockdev/pool-lives.ts';
import type { RbdPoolSpec } from '../../src/blockdev/pool-spec.ts';
import { RBD_CONNECTION_BYTES } from '../../src/blockdev/rbd/rbd-connection.ts';
import { cephCluster } from '../../scripts/cluster/ceph-cluster.ts';
import type { CephCluster } from '../../scripts/cluster/ceph-cluster.ts';

/** The cluster of the project. */
export function testCluster(): CephCluster {
  return cephCluster(inject('cephDirectory'));
}

/** A pool in Ceph, with a user that may do there what docs/operating/ceph.md says, and no more. */
export async function createRbdPlace(cephPool: string): Promise<RbdPlaceOfNode> {
  const cluster = testCluster();
  await cluster.createPool(cephPool);
  const capabilities = ['mon', 'profile rbd', 'osd', `profile rbd pool=${cephPool}`];
  const keyring = await cluster.createUser(cephPool, capabilities);
  const { confPath: confFile } = cluster;
  const place = { cephPool, namespace: null, user: cephPool, keyring, confFile, monitors: null };
  return { kind: 'rbd', name: cephPool, nodeId: 'node-1', ...place };
}

/** Opens the place as a pool, over a connection of its own, as another process would. */
export function openRbdPlace(place: RbdPlaceOfNode): OpenPool {
  return openPool(rbdPoolSpec(place));
}

/** The place as a process knows it that has not connected yet. */
export function rbdPoolSpec(place: RbdPlaceOfNode): RbdPoolSpec {
  const connection = new SharedArrayBuffer(RBD_CONNECTION_BYTES);
  return { ...place, connection, lives: new SharedArrayBuffer(POOL_LIVES_BYTES) };
}

type RbdPlaceOfNode = Omit<RbdPoolSpec, 'connection' | 'lives'>;
