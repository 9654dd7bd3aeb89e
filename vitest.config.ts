import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    testTimeout: 30_000,
    hookTimeout: 60_000,
    // What is looked for until it is there, such as a line of a log, comes late on a busy machine.
    expect: { poll: { timeout: 20_000 } },
    pool: 'forks',
    projects: [
      { extends: true, test: { name: 'unit', include: ['src/**/*.test.ts', 'test/tidy/*.test.ts'] } },
      {
        extends: true,
        test: {
          name: 'e2e',
          include: ['test/{e2e,fault,sim}/**/*.test.ts'],
          testTimeout: 300_000,
          hookTimeout: 120_000,
        },
      },
      {
        extends: true,
        test: {
          name: 'ceph',
          include: ['test/ceph/*.test.ts'],
          exclude: ['test/ceph/cluster-away.test.ts'],
          globalSetup: 'test/ceph/global-setup.ts',
          // They mostly wait, for what is to be found gone.
          maxWorkers: 3,
          testTimeout: 120_000,
          hookTimeout: 120_000,
        },
      },
      {
        extends: true,
        test: {
          // What is done to its cluster would be felt in the others.
          name: 'ceph-away',
          include: ['test/ceph/cluster-away.test.ts'],
          globalSetup: 'test/ceph/global-setup.ts',
          testTimeout: 120_000,
          hookTimeout: 120_000,
        },
      },
    ],
  },
});
