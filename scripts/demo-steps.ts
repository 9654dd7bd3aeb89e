import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';

const TITLE_COLUMNS = 50;

/** The steps of the demo, each of which prints one line. */
export interface Steps {
  /** Prints the title at once, and when it is done the seconds and what the step says of its result. */
  run<T>(title: string, step: () => Promise<T>, describe: (result: T) => string): Promise<T>;
  count(): number;
  seconds(): string;
}

export function createSteps(): Steps {
  const startedAtMs = performance.now();
  let count = 0;
  return {
    async run(title, step, describe) {
      count += 1;
      const stepStartedAtMs = performance.now();
      process.stdout.write(`${String(count).padStart(2)}. ${title.padEnd(TITLE_COLUMNS)}`);
      try {
        const result = await step();
        console.log(`${secondsSince(stepStartedAtMs).padStart(6)} s   ${describe(result)}`.trimEnd());
        return result;
      } catch (error) {
        console.log('FAILED');
        throw new Error(`Step ${count} failed, "${title}": ${messageOf(error)}`, { cause: error });
      }
    },
    count: () => count,
    seconds: () => secondsSince(startedAtMs),
  };
}

function secondsSince(startedAtMs: number): string {
  return ((performance.now() - startedAtMs) / 1000).toFixed(2);
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Where and with what environment the commands of the demo run. */
export interface CommandPlace {
  readonly cwd: string;
  readonly env: NodeJS.ProcessEnv;
  /** Ends them when the demo is interrupted. */
  readonly signal: AbortSignal;
}

export interface CommandOutput {
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a command to its end; throws what it said when it fails. */
export async function runCommand(
  place: CommandPlace,
  program: string,
  args: readonly string[],
): Promise<CommandOutput> {
  const child = spawn(program, args, { ...place, stdio: ['ignore', 'pipe', 'pipe'] });
  const output = collectOutput(child);
  const [exitCode, signal] = (await once(child, 'close')) as [number | null, string | null];
  if (exitCode !== 0) {
    const said = (output.stderr || output.stdout).trim();
    throw new Error(`${program} ended with ${exitCode ?? signal}${said === '' ? '.' : `: ${said}`}`);
  }
  return output;
}

/** What a process writes, as far as it has come. */
export function collectOutput(child: ChildProcess): CommandOutput {
  const output = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const) {
    child[name]?.setEncoding('utf8').on('data', (part: string) => {
      output[name] += part;
    });
  }
  return output;
}

/** The environment without settings of another Drivebay, and with the folders that administrators' tools are in. */
export function cleanEnvironment(): NodeJS.ProcessEnv {
  const entries = Object.entries(process.env).filter(
    ([name]) => !/^(?:DRIVEBAY_|EH(?:URI|AUTH)$)/.test(name),
  );
  const path = `${process.env['PATH'] ?? ''}:/usr/local/sbin:/usr/sbin:/sbin`;
  return { ...Object.fromEntries(entries), PATH: path, LC_ALL: 'C' };
}
