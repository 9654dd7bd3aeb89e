import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { FileLockedError, lockFile } from '../src/runtime/file-lock.ts';
import type { FileLock } from '../src/runtime/file-lock.ts';
import { startCluster } from './cluster/start-cluster.ts';
import type { ClusterFacts, ClusterOptions } from './cluster/start-cluster.ts';

// Two nodes of Drivebay over a PostgreSQL and a Ceph cluster of their own, to try. They belong to a process that goes on in
// the background, holds the lock of the directory and ends everything that it started when it is told to.

const USAGE = `usage: npm run cluster [-- --port PORT --directory DIRECTORY]
       npm run cluster -- down [--directory DIRECTORY]

Starts PostgreSQL, Ceph with three OSDs, two nodes of Drivebay and nginx in front of them, on loopback and in one
directory. "down" ends them and removes the directory with all that is in it.`;

const DEFAULT_PORT = '8700';
const START_TIMEOUT_MS = 180_000;
const STOP_TIMEOUT_MS = 60_000;

const lockPath = (directory: string): string => join(directory, 'lock');
const factsPath = (directory: string): string => join(directory, 'cluster.json');
const logPath = (directory: string): string => join(directory, 'cluster.log');

function takeLock(directory: string): FileLock | FileLockedError {
  try {
    return lockFile(lockPath(directory));
  } catch (error) {
    if (error instanceof FileLockedError) return error;
    throw error;
  }
}

async function up(options: ClusterOptions): Promise<void> {
  const { directory } = options;
  mkdirSync(directory, { recursive: true });
  // PostgreSQL does not run as root, and has to get to its own directory in here.
  chmodSync(directory, 0o711);
  const lock = takeLock(directory);
  if (lock instanceof FileLockedError) {
    console.log(`It is up already.\n${describe(readFacts(directory))}`);
    return;
  }
  rmSync(factsPath(directory), { force: true });
  lock[Symbol.dispose]();
  console.log(`Starting PostgreSQL, Ceph and two nodes in ${directory} …`);
  const startedAtMs = performance.now();
  const log = openSync(logPath(directory), 'w');
  const args = [
    fileURLToPath(import.meta.url),
    'run',
    '--directory',
    directory,
    '--port',
    String(options.port),
  ];
  const child = spawn(process.execPath, args, {
    detached: true,
    stdio: ['ignore', log, log],
    // What makes temporary directories makes them in here.
    env: { ...process.env, TMPDIR: directory },
  });
  const deadlineMs = startedAtMs + START_TIMEOUT_MS;
  for (let facts = tryReadFacts(directory); ; facts = tryReadFacts(directory)) {
    if (facts !== null) {
      const seconds = ((performance.now() - startedAtMs) / 1000).toFixed(0);
      console.log(`It is up after ${seconds} s.\n${describe(facts)}`);
      child.unref();
      return;
    }
    if (child.exitCode !== null || performance.now() > deadlineMs) break;
    await sleep(100);
  }
  child.kill('SIGTERM');
  const reason = readFileSync(logPath(directory), 'utf8').trim();
  throw new Error(`The cluster does not start:\n${reason}`);
}

/** The process in the background. */
async function runUntilTold(options: ClusterOptions): Promise<void> {
  using lock = lockFile(lockPath(options.directory));
  const told = Promise.race([once(process, 'SIGTERM'), once(process, 'SIGINT')]);
  {
    await using cluster = await startCluster(options);
    const { url, auth, nodes, databaseUrl, cephConfPath } = cluster;
    const facts: ClusterFacts = { url, auth, nodes, databaseUrl, cephConfPath };
    writeFileSync(factsPath(options.directory), JSON.stringify(facts), { mode: 0o600 });
    await told;
  }
  rmSync(options.directory, { recursive: true, force: true });
  lock[Symbol.dispose]();
  process.exit(0);
}

async function down(directory: string): Promise<void> {
  const deadlineMs = performance.now() + STOP_TIMEOUT_MS;
  for (let isTold = false; existsSync(directory); isTold = true) {
    const lock = takeLock(directory);
    if (!(lock instanceof FileLockedError)) {
      // Nobody is there any more to remove it.
      rmSync(directory, { recursive: true, force: true });
      lock[Symbol.dispose]();
      break;
    }
    if (lock.holderPid === null || performance.now() > deadlineMs) throw lock;
    if (!isTold) process.kill(lock.holderPid, 'SIGTERM');
    await sleep(100);
  }
  console.log(`It is down, and there is no ${directory} any more.`);
}

function tryReadFacts(directory: string): ClusterFacts | null {
  return existsSync(factsPath(directory)) ? readFacts(directory) : null;
}

function readFacts(directory: string): ClusterFacts {
  return JSON.parse(readFileSync(factsPath(directory), 'utf8')) as ClusterFacts;
}

function describe({ url, auth, nodes, databaseUrl, cephConfPath }: ClusterFacts): string {
  return `
  Drivebay    ${url}, which is nginx in front of
              ${nodes.map((node) => node.url).join(' and ')}
  NBD         ${nodes.map((node) => node.nbdAddress).join(' and ')}
  PostgreSQL  psql ${databaseUrl}
  Ceph        ceph --conf ${cephConfPath} --status

Try it:
  export DRIVEBAY_URL=${url} DRIVEBAY_AUTH=${auth}
  npx node src/main.ts create --name first --size 1G
  npx node src/main.ts list

To end it and remove everything: npm run cluster -- down`;
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      port: { type: 'string', default: DEFAULT_PORT },
      directory: { type: 'string', default: join(tmpdir(), 'drivebay-cluster') },
      help: { type: 'boolean', default: false },
    },
  });
  const [command = 'up', ...others] = positionals;
  const directory = resolve(values.directory);
  const port = Number(values.port);
  const work = {
    up: () => up({ directory, port }),
    run: () => runUntilTold({ directory, port }),
    down: () => down(directory),
  }[command];
  if (values.help || work === undefined || others.length > 0 || !Number.isInteger(port)) {
    console.log(USAGE);
    process.exitCode = values.help ? 0 : 2;
    return;
  }
  await work();
}

main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
});
