import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { BUILT_MAIN } from './built-command.ts';

export const ADMIN_USER = '11111111-1111-4111-8111-111111111111';
export const ADMIN_AUTH = `${ADMIN_USER}:AdminKey1234567890123456`;
const READY_TIMEOUT_MS = 60_000;

export interface LaunchOptions {
  readonly dataDirectory: string;
  /** The configuration file, in YAML. */
  readonly config?: string | undefined;
  readonly args?: readonly string[] | undefined;
  readonly env?: Readonly<Record<string, string>> | undefined;
  /** What to run instead of the source, such as the installed command. */
  readonly command?: readonly [string, ...string[]] | undefined;
  /** What is put before that, such as what runs it in a network of its own. */
  readonly enter?: readonly string[] | undefined;
}

/** A server's process, which may not serve yet. */
export interface LaunchedServer {
  readonly pid: number;
  /** The exit code, or null when a signal ended it. */
  readonly exited: Promise<number | null>;
  /** What it has written to standard output and standard error so far. */
  output(): string;
  kill(signal: NodeJS.Signals): void;
  /** The port that the kernel chose, once the server says that it serves. */
  listeningPort(): Promise<number>;
}

/** Begins to run one server. */
export async function launchServer(options: LaunchOptions): Promise<LaunchedServer> {
  const child = await spawnServer(options);
  let text = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding('utf8').on('data', (part: string) => {
      text += part;
    });
  }
  const output = (): string => text;
  return {
    pid: child.pid ?? 0,
    exited: once(child, 'close').then(() => child.exitCode),
    output,
    kill: (signal) => void child.kill(signal),
    listeningPort: async () => await listeningPort(child, output),
  };
}

async function spawnServer({
  dataDirectory,
  config,
  args,
  env,
  command = [process.execPath, BUILT_MAIN],
  enter = [],
}: LaunchOptions): Promise<ChildProcess> {
  const flags = ['--data-dir', dataDirectory, '--listen', '127.0.0.1:0', ...(args ?? [])];
  if (config !== undefined) {
    const configPath = `${dataDirectory}.yaml`;
    await writeFile(configPath, config);
    flags.push('--config', configPath);
  }
  const [program = '', ...programArgs] = [...enter, ...command];
  return spawn(program, [...programArgs, 'serve', ...flags], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: {
      PATH: process.env['PATH'],
      DRIVEBAY_ADMIN_USER: ADMIN_USER,
      DRIVEBAY_ADMIN_KEY: ADMIN_AUTH.slice(ADMIN_USER.length + 1),
      ...env,
    },
  });
}

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
