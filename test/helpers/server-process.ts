import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createDriveClient } from './drive-client.ts';
import type { DriveClient } from './drive-client.ts';
import { metadataEnvironment } from './test-metadata.ts';

export const ADMIN_USER = '11111111-1111-4111-8111-111111111111';
export const ADMIN_AUTH = `${ADMIN_USER}:AdminKey1234567890123456`;
const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url));
const READY_TIMEOUT_MS = 60_000;

export interface ServerOptions {
  /** Of a server before this one; a scratch directory that goes with the server by default. */
  readonly dataDirectory?: string;
  /** The configuration file, in YAML. */
  readonly config?: string;
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** What to run instead of the source, such as the installed command. */
  readonly command?: readonly [string, ...string[]];
}

/** A real server in a process of its own. As a client it speaks for the first admin user. */
export interface ServerProcess extends DriveClient, AsyncDisposable {
  readonly dataDirectory: string;
  readonly pid: number;
  /** A client for another user, USER:KEY, or for nobody. */
  as(auth: string | null): DriveClient;
  /** What it has written to standard output and standard error so far. */
  output(): string;
  /** The exit code, or null when the signal ended it. */
  stop(signal?: NodeJS.Signals): Promise<number | null>;
}

export async function startServer(options: ServerOptions = {}): Promise<ServerProcess> {
  const scratch = options.dataDirectory === undefined ? await scratchDirectory() : null;
  const dataDirectory = options.dataDirectory ?? join(scratch ?? '', 'data');
  const { child, output, exited } = await launch({ ...options, dataDirectory });
  try {
    const port = await listeningPort(child, output);
    const client = createDriveClient({ port, auth: ADMIN_AUTH });
    const stop = async (signal: NodeJS.Signals = 'SIGTERM'): Promise<number | null> => {
      child.kill(signal);
      return exited;
    };
    return {
      ...client,
      dataDirectory,
      pid: child.pid ?? 0,
      as: (auth) => createDriveClient({ port, auth }),
      output,
      stop,
      async [Symbol.asyncDispose]() {
        await stop();
        if (scratch !== null) await rm(scratch, { recursive: true, force: true });
      },
    };
  } catch (error) {
    child.kill('SIGKILL');
    await exited;
    throw error;
  }
}

/** Starts a server that is to refuse, and gives its exit code and what it said. */
export async function startRefused(
  options: ServerOptions & { readonly dataDirectory: string },
): Promise<{ readonly exitCode: number | null; readonly output: string }> {
  const { child, output, exited } = await launch(options);
  const serves = listeningPort(child, output).then(
    () => true,
    () => false,
  );
  if (await serves) child.kill('SIGKILL');
  const exitCode = await exited;
  if (await serves) throw new Error(`The server was to refuse, but serves:\n${output()}`);
  return { exitCode, output: output() };
}

export async function scratchDirectory(): Promise<string> {
  return mkdtemp(join(tmpdir(), 'drivebay-e2e-'));
}

interface Launched {
  readonly child: ChildProcess;
  readonly exited: Promise<number | null>;
  output(): string;
}

async function launch(options: ServerOptions & { readonly dataDirectory: string }): Promise<Launched> {
  const args = ['--data-dir', options.dataDirectory, '--listen', '127.0.0.1:0', ...(options.args ?? [])];
  if (options.config !== undefined) {
    const configPath = `${options.dataDirectory}.yaml`;
    await writeFile(configPath, options.config);
    args.push('--config', configPath);
  }
  const [program, ...programArgs] = options.command ?? [process.execPath, MAIN];
  const child = spawn(program, [...programArgs, 'serve', ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: {
      PATH: process.env['PATH'],
      DRIVEBAY_ADMIN_USER: ADMIN_USER,
      DRIVEBAY_ADMIN_KEY: ADMIN_AUTH.slice(ADMIN_USER.length + 1),
      ...(await metadataEnvironment(options.dataDirectory)),
      ...options.env,
    },
  });
  let text = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (part: string) => {
      text += part;
    });
  }
  const exited = once(child, 'close').then(() => child.exitCode);
  return { child, exited, output: () => text };
}

/** The port that the kernel chose, once the server says that it serves. */
async function listeningPort(child: ChildProcess, output: () => string): Promise<number> {
  const deadlineMs = performance.now() + READY_TIMEOUT_MS;
  while (performance.now() < deadlineMs) {
    const port = /"url":"https?:\/\/[^"]*:(\d+)".*"msg":"ready"/.exec(output())?.[1];
    if (port !== undefined) return Number(port);
    if (child.exitCode !== null) break;
    await new Promise((resolve) => {
      setTimeout(resolve, 10);
    });
  }
  throw new Error(`The server did not become ready:\n${output()}`);
}
