import type { TestProject } from 'vitest/node';
import { startCephCluster } from '../../scripts/cluster/start-ceph.ts';
import { namespaceProblem, startNetworkNamespace } from '../helpers/network-namespace.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** The directory of the cluster that all tests of the project share. */
    cephDirectory: string;
    /** Where the cluster listens; null for loopback. */
    cephAddress: string | null;
  }
}

/** Starts the cluster; what it returns stops it. */
export async function setup(project: TestProject): Promise<() => Promise<void>> {
  await using parts = new AsyncDisposableStack();
  const address = await clusterAddress(parts);
  const cluster = parts.use(await startCephCluster(address === null ? {} : { address }));
  project.provide('cephDirectory', cluster.directory);
  project.provide('cephAddress', address);
  const running = parts.move();
  return async () => await running.disposeAsync();
}

/** One that nodes in namespaces reach as well: this end of a link to nowhere. */
async function clusterAddress(parts: AsyncDisposableStack): Promise<string | null> {
  if ((await namespaceProblem()) !== null) return null;
  const namespace = parts.use(await startNetworkNamespace());
  return (await namespace.link()).address;
}
