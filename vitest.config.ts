import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';
import { LongestFirst } from './test/helpers/longest-first.ts';
import { ONE_NODE_FILES } from './test/helpers/one-node-files.ts';

/** What the end-to-end tests run is what the package is made of. */
const BUILD = 'test/helpers/build-setup.ts';
/** What they do to their cluster would be felt in the others, or what the others do in them. */
const ALONE_IN_CEPH = ['test/ceph/cluster-away.test.ts', 'test/ceph/postgres-stop.test.ts'];

export default defineConfig({
  test: {
    // None takes long by itself, but several times as long while the machine is busy.
    testTimeout: 120_000,
    hookTimeout: 60_000,
    // What is looked for until it is there, such as a line of a log, comes late on a busy machine.
    expect: { poll: { timeout: 20_000 } },
    pool: 'forks',
    sequence: { sequencer: LongestFirst },
    projects: [
      {
        extends: true,
        test: {
          name: 'unit',
          include: ['src/**/*.test.ts', 'test/tidy/*.test.ts'],
          maxWorkers: 3,
          // A process for each of so many short files takes a quarter of the time.
          isolate: false,
          // So is compiling what each thread runs.
          env: { NODE_COMPILE_CACHE: fileURLToPath(new URL('node_modules/.compiled', import.meta.url)) },
        },
      },
      {
        extends: true,
        test: {
          name: 'e2e',
          include: ['test/{e2e,fault,sim}/**/*.test.ts'],
          // Each waits for its servers for a good part of its time.
          maxWorkers: 3,
          globalSetup: BUILD,
          testTimeout: 300_000,
          hookTimeout: 120_000,
        },
      },
      {
        extends: true,
        test: {
          name: 'ceph',
          include: ['test/ceph/*.test.ts'],
          exclude: ALONE_IN_CEPH,
          globalSetup: [BUILD, 'test/ceph/global-setup.ts'],
          // They mostly wait, for what is to be found gone.
          maxWorkers: 3,
          testTimeout: 120_000,
          hookTimeout: 120_000,
        },
      },
      {
        extends: true,
        test: {
          // The same tests again, where each server is two nodes over one PostgreSQL and one pool in Ceph.
          name: 'two-nodes',
          include: ['test/e2e/*.test.ts'],
          exclude: Object.keys(ONE_NODE_FILES),
          env: { DRIVEBAY_TEST_NODES: '2' },
          globalSetup: [BUILD, 'test/helpers/one-node-files.ts', 'test/ceph/global-setup.ts'],
          maxWorkers: 2,
          testTimeout: 300_000,
          hookTimeout: 120_000,
        },
      },
      {
        extends: true,
        test: {
          name: 'ceph-away',
          include: ALONE_IN_CEPH,
          maxWorkers: 1,
          globalSetup: [BUILD, 'test/ceph/global-setup.ts'],
          testTimeout: 120_000,
          hookTimeout: 120_000,
        },
      },
    ],
  },
});
