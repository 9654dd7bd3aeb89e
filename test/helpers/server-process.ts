import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createDriveClient } from './drive-client.ts';
import type { DriveClient } from './drive-client.ts';
import { mergedOutput } from './merged-output.ts';
import { nodeOptions, rememberListener, shareMasterKey } from './node-options.ts';
import { ADMIN_AUTH, launchServer } from './server-launch.ts';
import type { LaunchedServer, LaunchOptions } from './server-launch.ts';
import { spreadClient } from './spread-client.ts';
import { nextRandom } from './test-nodes.ts';

export { ADMIN_AUTH, ADMIN_USER } from './server-launch.ts';

export interface ServerOptions extends Omit<LaunchOptions, 'dataDirectory'> {
  /** Of a server before this one; a scratch directory that goes with the server by default. */
  readonly dataDirectory?: string;
}

/** What clients can ask. As a client it speaks for the first admin user. */
export interface Serving extends DriveClient {
  /** A client for another user, USER:KEY, or for nobody. */
  as(auth: string | null): DriveClient;
}

const POOLS_TIMEOUT_MS = 60_000;

type Several<Each> = readonly [Each, ...Each[]];

/**
 * A real server in a process of its own. With `DRIVEBAY_TEST_NODES` it is so many nodes over one PostgreSQL and one pool
 * in Ceph, each request goes to any of them, and so does whatever connects to `port`, which is another one each time.
 */
export interface ServerProcess extends Serving, AsyncDisposable {
  /** Of the first node. */
  readonly dataDirectory: string;
  /** Of the first node. */
  readonly pid: number;
  /** Each of its processes by itself, for what a process does not share with others. */
  readonly nodes: Several<Serving>;
  /** What it has written to standard output and standard error so far. */
  output(): string;
  /** The exit code, or null when the signal ended it. */
  stop(signal?: NodeJS.Signals): Promise<number | null>;
}

export async function startServer(options: ServerOptions = {}): Promise<ServerProcess> {
  const scratch = options.dataDirectory === undefined ? await scratchDirectory() : null;
  const dataDirectory = options.dataDirectory ?? join(scratch ?? '', 'data');
  const launched = await launchNodes({ ...options, dataDirectory });
  try {
    const nodes = await eachOf(launched, async ({ server, options: own }) => {
      const port = await server.listeningPort();
      rememberListener(own, server.output());
      const node = servingAs((auth) => createDriveClient({ port, auth }));
      // The client speaks no TLS.
      const isPlain = server.output().includes('"url":"http:');
      if (launched.length > 1 && isPlain) await untilPoolsAnswer(node);
      return node;
    });
    const stop = async (signal: NodeJS.Signals = 'SIGTERM'): Promise<number | null> =>
      await end(launched, signal);
    return Object.assign(together(nodes), {
      dataDirectory,
      pid: launched[0].server.pid,
      nodes,
      output: () => mergedOutput(launched.map(({ server }) => server.output())),
      stop,
      async [Symbol.asyncDispose]() {
        await stop();
        if (scratch !== null) await rm(scratch, { recursive: true, force: true });
      },
    });
  } catch (error) {
    await end(launched, 'SIGKILL');
    throw error;
  }
}

/** Starts a server that is to refuse, or its first node, and gives its exit code and what it said. */
export async function startRefused(
  options: ServerOptions & { readonly dataDirectory: string },
): Promise<{ readonly exitCode: number | null; readonly output: string }> {
  const [first] = await nodeOptions(options);
  const server = await launchServer(first);
  const serves = server.listeningPort().then(
    () => true,
    () => false,
  );
  if (await serves) server.kill('SIGKILL');
  const exitCode = await server.exited;
  if (await serves) throw new Error(`The server was to refuse, but serves:\n${server.output()}`);
  return { exitCode, output: server.output() };
}

export async function scratchDirectory(): Promise<string> {
  return mkdtemp(join(tmpdir(), 'drivebay-e2e-'));
}

interface LaunchedNode {
  readonly server: LaunchedServer;
  readonly options: LaunchOptions;
}

async function launchNodes(options: LaunchOptions): Promise<Several<LaunchedNode>> {
  const nodes = await nodeOptions(options);
  await shareMasterKey(nodes);
  return await eachOf(nodes, async (own) => ({ server: await launchServer(own), options: own }));
}

async function eachOf<Each, Result>(
  [first, ...others]: Several<Each>,
  work: (each: Each) => Promise<Result>,
): Promise<Several<Result>> {
  const [one, rest] = await Promise.all([work(first), Promise.all(others.map(work))]);
  return [one, ...rest];
}

/** A server begins to serve before pools in Ceph have answered. */
export async function untilPoolsAnswer(node: Serving): Promise<void> {
  const deadlineMs = performance.now() + POOLS_TIMEOUT_MS;
  for (;;) {
    const { status, text } = await node.get('/admin/pools/info');
    if (status === 200 && !/^status inactive$/m.test(text)) return;
    if (performance.now() > deadlineMs) throw new Error(`A pool does not answer: ${status} ${text}`);
    await new Promise((resolve) => {
      setTimeout(resolve, 20);
    });
  }
}

function servingAs(as: Serving['as']): Serving {
  return Object.assign(as(ADMIN_AUTH), { as });
}

function together(nodes: Several<Serving>): Serving {
  const random = nextRandom();
  if (nodes.length === 1) return servingAs(nodes[0].as);
  return servingAs((auth) => spreadClient(nodes, { auth, random }));
}

/** Ends all nodes at once, which are expected to end in the same way. */
async function end(launched: Several<LaunchedNode>, signal: NodeJS.Signals): Promise<number | null> {
  for (const { server } of launched) server.kill(signal);
  const exitCodes = await eachOf(launched, ({ server }) => server.exited);
  if (new Set(exitCodes).size === 1) return exitCodes[0];
  const output = mergedOutput(launched.map(({ server }) => server.output()));
  throw new Error(`The nodes have ended with ${exitCodes.join(' and ')}:\n${output}`);
}
