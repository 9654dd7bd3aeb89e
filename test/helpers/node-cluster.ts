import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { databaseUrl, startScratchPostgres } from '../../src/metadata/postgres/scratch-postgres.ts';
import type { ScratchPostgres } from '../../src/metadata/postgres/scratch-postgres.ts';
import { scratchDirectory, startServer } from './server-process.ts';
import type { ServerProcess } from './server-process.ts';

/** Nodes of one installation over one PostgreSQL, each with a directory pool of its own name. */
export interface NodeCluster extends AsyncDisposable {
  readonly postgres: ScratchPostgres;
  readonly directory: string;
  /** What a node is started with, for those that are to refuse. */
  optionsOf(name: string, pools?: readonly string[]): NodeOptions;
  /** Starts a node, or starts it anew. It stops with the cluster. */
  start(name: string, args?: readonly string[]): Promise<ServerProcess>;
}

export interface NodeOptions {
  readonly dataDirectory: string;
  readonly config: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

/** The master key that all nodes have. */
const MASTER_KEY = '5'.repeat(64);

export async function startNodeCluster(): Promise<NodeCluster> {
  const directory = await scratchDirectory();
  const postgres = await startScratchPostgres();
  const url = databaseUrl(await postgres.createDatabase());
  const started = new Map<string, ServerProcess>();
  const poolDirectory = (pool: string): string => join(directory, `pool-${pool}`);
  const optionsOf = (name: string, pools: readonly string[] = [name]): NodeOptions => ({
    dataDirectory: join(directory, name),
    config: `pools:\n${pools.map((pool) => `  - name: ${pool}\n    directory: ${poolDirectory(pool)}\n`).join('')}`,
    args: ['--nbd-listen', '127.0.0.1:0', '--imaging-threads', '1'],
    env: { DRIVEBAY_METADATA: url, DRIVEBAY_MASTER_KEY: MASTER_KEY },
  });
  return {
    postgres,
    directory,
    optionsOf,
    async start(name, args = []) {
      await mkdir(poolDirectory(name), { recursive: true });
      const options = optionsOf(name);
      const server = await startServer({ ...options, args: [...options.args, ...args] });
      started.set(name, server);
      return server;
    },
    async [Symbol.asyncDispose]() {
      await Promise.all([...started.values()].map((server) => server[Symbol.asyncDispose]()));
      await postgres[Symbol.asyncDispose]();
      await rm(directory, { recursive: true });
    },
  };
}
