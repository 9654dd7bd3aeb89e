import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { openSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url));
const READY_TIMEOUT_MS = 60_000;

export interface NodeOptions {
  /** Such as `node-a`: its data directory and its log are called so. */
  readonly name: string;
  /** Of the cluster. */
  readonly directory: string;
  readonly configPath: string;
  readonly env: Readonly<Record<string, string>>;
  readonly httpPort: number;
  readonly nbdPort: number;
}

/** A server of Drivebay that runs on addresses of its own. */
export interface NodeProcess extends AsyncDisposable {
  readonly url: string;
  readonly nbdAddress: string;
}

/** Starts a node and waits until it serves. @throws Error that names its log when it does not */
export async function startNode(options: NodeOptions): Promise<NodeProcess> {
  const { name, directory, configPath, env, httpPort, nbdPort } = options;
  const url = `http://127.0.0.1:${httpPort}`;
  const nbdAddress = `127.0.0.1:${nbdPort}`;
  const logPath = join(directory, `${name}.log`);
  const log = openSync(logPath, 'a');
  const settings = ['--config', configPath, '--data-dir', join(directory, name)];
  const addresses = ['--listen', `127.0.0.1:${httpPort}`, '--nbd-listen', nbdAddress];
  // The kernel ends it when this process is killed.
  const command = ['--pdeathsig', 'TERM', process.execPath, MAIN, 'serve', ...settings, ...addresses];
  const child = spawn('setpriv', command, {
    stdio: ['ignore', log, log],
    env: { PATH: process.env['PATH'], ...env },
  });
  const hasEnded = (): boolean => child.exitCode !== null || child.signalCode !== null;
  const stop = async (): Promise<void> => {
    if (hasEnded()) return;
    const exited = once(child, 'exit');
    child.kill('SIGTERM');
    await exited;
  };
  const deadlineMs = performance.now() + READY_TIMEOUT_MS;
  while (performance.now() < deadlineMs && !hasEnded()) {
    const answer = await fetch(`${url}/readyz`).catch(() => null);
    if (answer?.ok === true) return { url, nbdAddress, [Symbol.asyncDispose]: stop };
    await sleep(50);
  }
  await stop();
  throw new Error(`${name} does not start; ${logPath} says why.`);
}
