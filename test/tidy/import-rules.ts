import type { ImportEdge } from './source-tree.ts';

/** What the engine of storage is, as opposed to its interfaces. */
const IMPLEMENTATIONS: readonly string[] = [
  'src/blockdev/file/',
  'src/blockdev/rbd/',
  'src/blockdev/open-pool.ts',
  'src/blockdev/memory/',
  'src/blockdev/luks-volume.ts',
  'src/crypto/',
  'src/metadata/postgres/',
  'src/metadata/sqlite/',
  'src/nbd/transmission/',
  'src/nbd/protocol-numbers.ts',
];

/** The files that put a thread of their own together, as compose.ts does for the process. */
const THREAD_ROOTS: ReadonlySet<string> = new Set([
  'src/data-workers/data-operations.ts',
  'src/data-workers/data-thread.ts',
  'src/data-workers/open-volumes.ts',
  'src/data-workers/served-connections.ts',
  'src/imaging/imaging-thread.ts',
]);

const METADATA = 'src/metadata/metadata-store.ts';
const BLOCKDEV = [
  'src/blockdev/block-device.ts',
  'src/blockdev/direct-access.ts',
  'src/blockdev/maybe.ts',
  'src/blockdev/system-error.ts',
  'src/blockdev/pool-spec.ts',
  'src/blockdev/pool-lives.ts',
  'src/blockdev/storage-pool.ts',
  'src/blockdev/volume.ts',
  'src/blockdev/layers/',
];
const DATA_WORKERS = [
  'connection-stats',
  'direct-volumes',
  'pools',
  'rate-limit',
  'volume',
  'volumes',
  'write-tracker',
].map((name) => `src/data-workers/${name}.ts`);

/**
 * What the source files of each folder may import outside of their own. The longest prefix that fits a file counts. A
 * folder that is not here may import nothing.
 */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  'src/core/': [],
  'src/config/': ['src/core/'],
  'src/runtime/': ['src/core/'],
  'src/crypto/': ['src/core/', 'src/runtime/'],
  'src/blockdev/': ['src/core/', 'src/crypto/', 'src/runtime/'],
  'src/metadata/': ['src/core/', 'src/runtime/'],
  'src/data-workers/': ['src/core/', 'src/runtime/', ...BLOCKDEV],
  'src/imaging/': ['src/core/', 'src/runtime/', METADATA, ...BLOCKDEV, 'src/data-workers/'],
  'src/moving/': ['src/core/', 'src/runtime/', METADATA, ...BLOCKDEV, 'src/data-workers/'],
  'src/service/': ['src/core/', METADATA, ...BLOCKDEV, ...DATA_WORKERS],
  'src/http/': ['src/core/', 'src/service/service.ts', 'src/runtime/tls-files.ts'],
  'src/nbd/': ['src/core/', 'src/runtime/', 'src/service/service.ts'],
  // Runs in data threads.
  'src/nbd/transmission/': ['src/core/', 'src/runtime/', 'src/nbd/', ...BLOCKDEV, ...DATA_WORKERS],
  'src/cli/': ['src/core/', 'src/runtime/'],
  // The composition root, and it alone, knows everything.
  'src/compose': ['src/'],
  'src/read-config.ts': ['src/config/', 'src/cli/cli-error.ts'],
  'src/serve.ts': [
    'src/compose.ts',
    'src/config/',
    'src/read-config.ts',
    'src/runtime/',
    'src/cli/cli-error.ts',
    'src/service/start-up.ts',
  ],
  'src/migrate-metadata.ts': ['src/compose-transfer.ts', 'src/read-config.ts', 'src/cli/cli-error.ts'],
  'src/drivebay.ts': [
    'src/serve.ts',
    'src/migrate-metadata.ts',
    'src/cli/',
    'src/config/config-help.ts',
    'src/runtime/',
  ],
  // Before the version of Node is known to do, nothing else may be loaded.
  'src/main.ts': ['src/drivebay.ts', 'src/runtime/compile-cache.ts', 'src/runtime/node-version.ts'],
  // What is built around the product, and what tests it, may open anything.
  'bench/': ['src/', 'scripts/cluster/', 'scripts/build.ts'],
  'scripts/': ['src/'],
  'test/': ['src/', 'scripts/', 'bench/'],
};

/** One sentence for each import that goes the wrong way. */
export function importViolations(edges: readonly ImportEdge[]): readonly string[] {
  return edges.flatMap((edge) => {
    const folder = folderOf(edge.from);
    if (folder === null) return [`${edge.from} is in no folder that the import rules know`];
    if (edge.to.startsWith(folder) || mayImport(edge, folder)) return [];
    return [`${edge.from} must not import ${edge.to}`];
  });
}

function mayImport({ from, to }: ImportEdge, folder: string): boolean {
  // A test beside the code may build what it tests out of real parts.
  if (isTest(from) && folder !== 'src/core/') return true;
  if (THREAD_ROOTS.has(from) && IMPLEMENTATIONS.some((prefix) => to.startsWith(prefix))) return true;
  if (to === 'package.json') return true;
  return (MAY_IMPORT[folder] ?? []).some((prefix) => to.startsWith(prefix));
}

function isTest(path: string): boolean {
  return path.endsWith('.test.ts') || /\/(describe|scratch)-[a-z-]+\.ts$/.test(path);
}

function folderOf(path: string): string | null {
  const fitting = Object.keys(MAY_IMPORT).filter((prefix) => path.startsWith(prefix));
  return fitting.reduce<string | null>(
    (best, prefix) => (prefix.length > (best?.length ?? 0) ? prefix : best),
    null,
  );
}
