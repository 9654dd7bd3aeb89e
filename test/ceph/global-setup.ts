import type { TestProject } from 'vitest/node';
import { startCephCluster } from '../../scripts/cluster/start-ceph.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** The directory of the cluster that all tests of the project share. */
    cephDirectory: string;
  }
}

/** Starts the cluster; what it returns stops it. */
export async function setup(project: TestProject): Promise<() => Promise<void>> {
  const cluster = await startCephCluster();
  project.provide('cephDirectory', cluster.directory);
  return async () => await cluster[Symbol.asyncDispose]();
}
