/** Test files of one server that do not run on several nodes over one pool in Ceph, and why. */
export const ONE_NODE_FILES: Readonly<Record<string, string>> = {
  'test/e2e/migrate-metadata.test.ts': 'moves the metadata of a server from SQLite, which nodes do not use',
  'test/e2e/move.test.ts': 'moves drives between directories that it configures, and looks at their files',
  'test/e2e/move-rules.test.ts':
    'moves drives between directories that it configures, and looks at their files',
  'test/e2e/package.test.ts': 'is about the packed tarball, and installs it',
  'test/e2e/pools.test.ts': 'configures several pools, and takes their directories away',
};

/** Says so before the run. */
export function setup(): void {
  for (const [file, reason] of Object.entries(ONE_NODE_FILES))
    console.log(`Needs one node: ${file} ${reason}.`);
}
