import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { freePort } from './nginx.ts';

/** A running Drivebay with an admin user. */
export interface DrivebayServer extends AsyncDisposable {
  readonly port: number;
  /** USER:KEY */
  readonly auth: string;
  /** From the start of the process until /readyz said yes. */
  readonly readyMs: number;
  readonly dataDirectory: string;
  /** What the process holds in memory now, in MiB. */
  residentMib(): number;
  /** Sends a command and gives its answer in JSON; throws when it is refused. */
  call(method: string, path: string, body?: unknown): Promise<unknown>;
}

/** What is measured is what the package is made of; `run.ts` builds it. */
export const BUILD_DIRECTORY = fileURLToPath(new URL('../../dist', import.meta.url));
export const MAIN = join(BUILD_DIRECTORY, 'main.js');

/** `environment` adds settings that have no flag. */
export async function startDrivebay(
  dataDirectory: string,
  args: readonly string[] = [],
  environment: Readonly<Record<string, string>> = {},
): Promise<DrivebayServer> {
  const port = await freePort();
  const startedAtMs = performance.now();
  const child = spawn(
    process.execPath,
    [MAIN, 'serve', '--data-dir', dataDirectory, '--listen', `127.0.0.1:${port}`, ...args],
    {
      stdio: ['ignore', 'ignore', 'inherit'],
      env: { ...process.env, DRIVEBAY_LOG_LEVEL: 'warn', ...environment },
    },
  );
  await waitUntilReady(child, port);
  const readyMs = performance.now() - startedAtMs;
  const { DRIVEBAY_ADMIN_USER: user, DRIVEBAY_ADMIN_KEY: key } = environment;
  const auth = user === undefined ? readAuth(dataDirectory) : `${user}:${key}`;
  return {
    port,
    auth,
    readyMs,
    dataDirectory,
    residentMib: () => residentMib(child.pid ?? 0),
    call: (method, path, body) => call({ port, auth }, method, path, body),
    async [Symbol.asyncDispose]() {
      child.kill('SIGTERM');
      if (child.exitCode === null) await once(child, 'exit');
    },
  };
}

async function waitUntilReady(child: ChildProcess, port: number): Promise<void> {
  for (let attempt = 0; attempt < 2000; attempt += 1) {
    if (child.exitCode !== null) throw new Error(`The server ended with ${child.exitCode}.`);
    try {
      const answer = await fetch(`http://127.0.0.1:${port}/readyz`);
      if (answer.status === 200) return;
    } catch {
      // Not listening yet.
    }
    await new Promise((resolve) => {
      setTimeout(resolve, 5);
    });
  }
  throw new Error('The server did not become ready.');
}

/** Reads USER:KEY from what the first start has left. */
function readAuth(dataDirectory: string): string {
  const text = readFileSync(join(dataDirectory, 'admin-credentials'), 'utf8');
  const auth = /^DRIVEBAY_AUTH=(.*)$/m.exec(text)?.[1];
  if (auth === undefined) throw new Error('There are no admin credentials.');
  return auth;
}

async function call(
  { port, auth }: { port: number; auth: string },
  method: string,
  path: string,
  body?: unknown,
): Promise<unknown> {
  const answer = await fetch(`http://127.0.0.1:${port}${path}`, {
    method,
    headers: {
      authorization: basic(auth),
      accept: 'application/json',
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await answer.text();
  if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text}`);
  return text === '' ? null : JSON.parse(text);
}

function residentMib(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  return Number(/^VmRSS:\s+([0-9]+) kB$/m.exec(status)?.[1]) / 1024;
}

export function basic(auth: string): string {
  return `Basic ${Buffer.from(auth).toString('base64')}`;
}
