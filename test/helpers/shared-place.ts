import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { createRbdPlace, testCluster } from '../ceph/scratch-rbd.ts';

/** Where the images of an installation are, as the configuration has it. */
export interface SharedPlace {
  readonly pool: string;
  readonly namespace: string;
  readonly user: string;
  readonly keyring: string;
  readonly conf: string;
}

/** All test files share one pool, because making one takes seconds. */
const CEPH_POOL = 'suite';

const places = new Map<string, Promise<SharedPlace>>();

/** The place in Ceph of the nodes whose first one has this data directory: a namespace of its own. */
export async function sharedPlace(dataDirectory: string): Promise<SharedPlace> {
  const place = places.get(dataDirectory) ?? makePlace();
  places.set(dataDirectory, place);
  return await place;
}

async function makePlace(): Promise<SharedPlace> {
  const cluster = testCluster();
  const keyring = join(cluster.directory, `ceph.client.${CEPH_POOL}.keyring`);
  // Made last, so that the pool is there too. Two files that find it missing make the same.
  if (!existsSync(keyring)) await createRbdPlace(CEPH_POOL);
  const namespace = randomUUID();
  await cluster.rbd('namespace', 'create', '--pool', CEPH_POOL, '--namespace', namespace);
  return { pool: CEPH_POOL, namespace, user: CEPH_POOL, keyring, conf: cluster.confPath };
}
