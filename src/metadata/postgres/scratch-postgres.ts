import { execFile, spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { appendFile, chown, mkdtemp, readdir, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Client } from 'pg';
import type { PostgresOptions } from './postgres-options.ts';

const run = promisify(execFile);

export interface ScratchPostgresOptions {
  /** An address of this machine that it listens on besides loopback, for clients from outside. */
  readonly address?: string;
  /** Lines for postgresql.conf. */
  readonly settings?: readonly string[];
  /** Whether commits are synced to the disk: for measurements, and for tests that lose the power. */
  readonly isDurable?: boolean;
}

/** A PostgreSQL of its own in a temporary directory, which can be stopped and started. */
export interface ScratchPostgres extends AsyncDisposable {
  readonly port: number;
  readonly directory: string;
  /** Makes an empty database and says how it is reached. */
  createDatabase(): Promise<PostgresOptions>;
  /** Runs SQL as the superuser, in the database named or in `postgres`. */
  query(sql: string, database?: string): Promise<readonly Record<string, unknown>[]>;
  /** `immediate` is as if its process had died. */
  stop(mode?: 'fast' | 'immediate'): Promise<void>;
  start(): Promise<void>;
}

const LOOPBACK = '127.0.0.1';
const SUPERUSER = 'postgres';
const PASSWORD = 'scratch-Password_1';
const START_TIMEOUT_MS = 30_000;
const STOP_SIGNALS = { fast: 'SIGINT', immediate: 'SIGQUIT' } as const;
/** Who runs it when this process is root, as which PostgreSQL refuses to run. */
const UNPRIVILEGED = ['postgres', 'nobody'];

/** The address of a database as the setting `metadata` takes it. */
export function databaseUrl({ user, password, host, port, database }: PostgresOptions): string {
  const secret = password === null ? '' : `:${encodeURIComponent(password)}`;
  return `postgres://${user}${secret}@${host}:${port}/${database}`;
}

/** Starts an empty PostgreSQL, from Debian's package or whatever is on the PATH, on loopback. */
export async function startScratchPostgres(options: ScratchPostgresOptions = {}): Promise<ScratchPostgres> {
  const programs = await programDirectory();
  const user = await unprivilegedUser();
  const directory = await mkdtemp(join(tmpdir(), 'drivebay-postgres-'));
  if (user !== null) await chown(directory, user.uid, user.gid);
  const data = join(directory, 'data');
  const port = await freePort();
  await makeCluster({ programs, user, data });
  await appendFile(join(data, 'postgresql.conf'), settingsText(options, port, directory));
  await appendFile(join(data, 'pg_hba.conf'), 'host all all samenet scram-sha-256\n');

  const server = createServerProcess({ programs, user, data });
  let databases = 0;
  await server.start();
  return {
    ...server,
    port,
    directory,
    query: async (sql, database = 'postgres') => await queryOnce(addressOf(port, database), sql),
    async createDatabase() {
      databases += 1;
      const database = `drivebay${databases}`;
      await queryOnce(addressOf(port, 'postgres'), `create database ${database}`);
      return addressOf(port, database);
    },
    async [Symbol.asyncDispose]() {
      await server.stop('immediate');
      await rm(directory, { recursive: true });
    },
  };
}

function addressOf(port: number, database: string): PostgresOptions & { readonly password: string } {
  const limits = { maxConnections: 5, timeoutMs: 5000 };
  return { host: LOOPBACK, port, database, user: SUPERUSER, password: PASSWORD, tls: null, ...limits };
}

async function queryOnce(
  { host, port, database, user, password }: PostgresOptions & { readonly password: string },
  sql: string,
): Promise<readonly Record<string, unknown>[]> {
  const client = new Client({ host, port, database, user, password });
  await client.connect();
  try {
    return (await client.query<Record<string, unknown>>(sql)).rows;
  } finally {
    await client.end();
  }
}

interface Installation {
  /** The directory of the programs. */
  readonly programs: string;
  /** Who runs them; null for who runs this. */
  readonly user: User | null;
  /** The directory of the cluster. */
  readonly data: string;
}

function createServerProcess({
  programs,
  user,
  data,
}: Installation): Pick<ScratchPostgres, 'start' | 'stop'> {
  let server: ChildProcess | null = null;
  return {
    async start() {
      const child = spawn(join(programs, 'postgres'), ['-D', data], {
        ...user,
        stdio: ['ignore', 'ignore', 'pipe'],
      });
      server = child;
      let log = '';
      child.stderr.setEncoding('utf8').on('data', (text: string) => {
        log = (log + text).slice(-10_000);
      });
      const deadlineMs = performance.now() + START_TIMEOUT_MS;
      while (performance.now() < deadlineMs && child.exitCode === null) {
        // Written into its log when, and only when, it takes connections.
        if (/ready to accept connections/.test(log)) return;
        await new Promise((resolve) => {
          setTimeout(resolve, 10);
        });
      }
      child.kill('SIGKILL');
      throw new Error(`PostgreSQL does not start:\n${log}`);
    },
    async stop(mode = 'fast') {
      if (server === null || server.exitCode !== null) return;
      const exited = once(server, 'exit');
      server.kill(STOP_SIGNALS[mode]);
      await exited;
      server = null;
    },
  };
}

interface User {
  readonly uid: number;
  readonly gid: number;
}

async function makeCluster({ programs, user, data }: Installation): Promise<void> {
  const passwordFile = `${data}.password`;
  await appendFile(passwordFile, `${PASSWORD}\n`, { mode: 0o644 });
  const args = [
    '--pgdata',
    data,
    '--username',
    SUPERUSER,
    '--encoding',
    'UTF8',
    '--locale',
    'C',
    '--no-sync',
  ];
  const auth = ['--auth', 'scram-sha-256', '--pwfile', passwordFile];
  await run(join(programs, 'initdb'), [...args, ...auth], { ...user, cwd: '/' });
}

function settingsText(
  { settings = [], isDurable = false, address }: ScratchPostgresOptions,
  port: number,
  socketDirectory: string,
): string {
  const speed = isDurable ? [] : ['fsync = off', 'full_page_writes = off'];
  const lines = [
    `port = ${port}`,
    `listen_addresses = '${[LOOPBACK, ...(address === undefined ? [] : [address])].join()}'`,
    `unix_socket_directories = '${socketDirectory}'`,
    'max_connections = 60',
    ...speed,
    ...settings,
  ];
  return `\n${lines.join('\n')}\n`;
}

/** Debian keeps the programs of each version apart; the newest is taken. */
async function programDirectory(): Promise<string> {
  const root = '/usr/lib/postgresql';
  const versions = await readdir(root).catch(() => []);
  const newest = versions.sort((one, other) => Number(other) - Number(one))[0];
  if (newest !== undefined) return join(root, newest, 'bin');
  const { stdout } = await run('pg_config', ['--bindir']).catch(() => {
    throw new Error('PostgreSQL is not installed: bash scripts/install-tools.sh test');
  });
  return stdout.trim();
}

async function unprivilegedUser(): Promise<User | null> {
  if (process.getuid?.() !== 0) return null;
  for (const name of UNPRIVILEGED) {
    const found = await run('id', ['-u', name]).catch(() => null);
    if (found === null) continue;
    const group = await run('id', ['-g', name]);
    return { uid: Number(found.stdout), gid: Number(group.stdout) };
  }
  throw new Error('There is no user that could run PostgreSQL, which refuses to run as root.');
}

/** One that no outgoing connection can be given while PostgreSQL is stopped. */
async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(15_000, 32_000);
    const server = createServer().listen(port, LOOPBACK);
    const isFree = await once(server, 'listening').then(
      () => true,
      () => false,
    );
    server.close();
    if (isFree) return port;
  }
}
