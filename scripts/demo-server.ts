import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { collectOutput, runCommand } from './demo-steps.ts';
import type { CommandOutput, CommandPlace } from './demo-steps.ts';

const MAIN = fileURLToPath(new URL('../src/main.ts', import.meta.url));
const READY_TIMEOUT_MS = 60_000;

export interface DemoServer {
  readonly url: string;
  /** Runs the command-line client as the server's administrator. */
  drivebay(...args: readonly string[]): Promise<CommandOutput>;
  /** Throws when the server does not end as it should. */
  stop(): Promise<void>;
  /** For when the demo ends early; does nothing when the server has stopped. */
  kill(): Promise<void>;
}

export async function startDemoServer(place: CommandPlace, dataDirectory: string): Promise<DemoServer> {
  const args = ['serve', '--data-dir', dataDirectory, '--listen', '127.0.0.1:0'];
  const child = spawn(process.execPath, [MAIN, ...args], { ...place, stdio: ['ignore', 'pipe', 'pipe'] });
  const output = collectOutput(child);
  // It is also rejected when the demo is interrupted, which the step that is under way tells.
  const closed = once(child, 'close').catch(() => undefined);
  const hasEnded = (): boolean => child.exitCode !== null || child.signalCode !== null;
  const end = async (signal: NodeJS.Signals): Promise<void> => {
    if (!hasEnded()) child.kill(signal);
    await closed;
  };
  try {
    const url = await readyUrl(output, hasEnded);
    const auth = readAuth(dataDirectory);
    const env = { ...place.env, DRIVEBAY_URL: url, DRIVEBAY_AUTH: auth };
    return {
      url,
      drivebay: (...command) => runClient({ ...place, env }, command),
      async stop() {
        await end('SIGTERM');
        expectGoodEnd(child, output);
      },
      kill: () => end('SIGKILL'),
    };
  } catch (error) {
    await end('SIGKILL');
    throw error;
  }
}

function expectGoodEnd(child: ChildProcess, output: CommandOutput): void {
  if (child.exitCode === 0) return;
  throw new Error(`The server ended with ${child.exitCode ?? child.signalCode}: ${output.stderr.trim()}`);
}

async function runClient(place: CommandPlace, command: readonly string[]): Promise<CommandOutput> {
  try {
    return await runCommand(place, process.execPath, [MAIN, ...command]);
  } catch (error) {
    throw new Error(`drivebay ${command[0]} failed. ${error instanceof Error ? error.message : ''}`, {
      cause: error,
    });
  }
}

/** The address with the port that the kernel chose, once the server says that it is ready. */
async function readyUrl(output: CommandOutput, hasEnded: () => boolean): Promise<string> {
  const deadlineMs = performance.now() + READY_TIMEOUT_MS;
  while (performance.now() < deadlineMs && !hasEnded()) {
    const url = /"url":"(http:\/\/[^"]+)".*"msg":"ready"/.exec(output.stdout + output.stderr)?.[1];
    if (url !== undefined && (await fetch(`${url}/readyz`)).ok) return url;
    await sleep(10);
  }
  throw new Error(`The server did not become ready: ${(output.stderr || output.stdout).trim()}`);
}

/** Reads USER:KEY from what the first start has left. */
function readAuth(dataDirectory: string): string {
  const text = readFileSync(join(dataDirectory, 'admin-credentials'), 'utf8');
  const auth = /^DRIVEBAY_AUTH=(.*)$/m.exec(text)?.[1];
  if (auth === undefined) throw new Error('The server has left no admin credentials.');
  return auth;
}
