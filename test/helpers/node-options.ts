import { randomBytes } from 'node:crypto';
import { chmod, copyFile, mkdir, writeFile } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { LaunchOptions } from './server-launch.ts';
import { sharedPlace } from './shared-place.ts';
import { metadataEnvironment } from './test-metadata.ts';
import { nodeCount } from './test-nodes.ts';

/** Of each node's NBD listener for TCP, by its data directory: where its clients look for it after a restart. */
const nbdPorts = new Map<string, string>();

/** What each node of a server is started with; the first one has the server's data directory. */
export async function nodeOptions(
  options: LaunchOptions,
): Promise<readonly [LaunchOptions, ...LaunchOptions[]]> {
  const { dataDirectory, args = [], config } = options;
  const env = { ...(await metadataEnvironment(dataDirectory)), ...options.env };
  if (nodeCount() === 1) return [{ ...options, env }];
  if (config !== undefined)
    throw new Error('A server of several nodes is given its pools: this needs one node.');
  const common = {
    ...options,
    // What is configured together must fit into what the scratch PostgreSQL takes.
    env: { DRIVEBAY_METADATA_CONNECTIONS: '5', ...env },
    config: JSON.stringify({ pools: [{ name: 'default', rbd: await sharedPlace(dataDirectory) }] }),
  };
  const others = Array.from({ length: nodeCount() - 1 }, (_, index): LaunchOptions => {
    const directory = `${dataDirectory}-${index + 2}`;
    return { ...common, dataDirectory: directory, args: ownListeners(args, directory, `.${index + 2}`) };
  });
  return [{ ...common, args: ownListeners(args, dataDirectory, '') }, ...others];
}

/** Nodes need the same master key, which none of several can make. */
export async function shareMasterKey(nodes: readonly [LaunchOptions, ...LaunchOptions[]]): Promise<void> {
  const [first, ...others] = nodes;
  if (others.length === 0) return;
  const path = join(first.dataDirectory, 'master-key');
  await mkdir(first.dataDirectory, { recursive: true, mode: 0o700 });
  if (!existsSync(path)) await writeFile(path, `${randomBytes(32).toString('hex')}\n`, { mode: 0o600 });
  for (const { dataDirectory } of others) {
    const copy = join(dataDirectory, 'master-key');
    await mkdir(dataDirectory, { recursive: true, mode: 0o700 });
    await copyFile(path, copy);
    await chmod(copy, 0o600);
  }
}

/** Remembers where a node listens for NBD. */
export function rememberListener({ dataDirectory }: LaunchOptions, output: string): void {
  const line = output.split('\n').find((each) => each.includes('"msg":"NBD listens on TCP"'));
  const port = /"port":(\d+)/.exec(line ?? '')?.[1];
  if (port !== undefined) nbdPorts.set(dataDirectory, port);
}

/** The listeners for NBD, of which each node needs its own; a port that is given is that of an earlier start. */
function ownListeners(args: readonly string[], dataDirectory: string, suffix: string): readonly string[] {
  return args.map((arg, index) => {
    if (args[index - 1] === '--nbd-socket') return `${arg}${suffix}`;
    if (args[index - 1] !== '--nbd-listen' || arg.endsWith(':0')) return arg;
    return arg.replace(/\d+$/, nbdPorts.get(dataDirectory) ?? '0');
  });
}
