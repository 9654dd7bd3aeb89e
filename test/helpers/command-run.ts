import { execFile } from 'node:child_process';
import { BUILT_MAIN } from './built-command.ts';

export interface CommandOptions {
  /** All that is in its environment besides the PATH. */
  readonly env?: Readonly<Record<string, string>>;
  /** Kills it when it is aborted. */
  readonly killed?: AbortSignal;
}

export interface CommandResult {
  /** Null when a signal has ended it. */
  readonly exitCode: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs `drivebay` in a process of its own. */
export async function runCommand(
  args: readonly string[],
  { env = {}, killed }: CommandOptions = {},
): Promise<CommandResult> {
  return await new Promise((resolve) => {
    const options = {
      env: { PATH: process.env['PATH'], ...env },
      killSignal: 'SIGKILL' as const,
      ...(killed === undefined ? {} : { signal: killed }),
    };
    const child = execFile(process.execPath, [BUILT_MAIN, ...args], options, (_error, stdout, stderr) => {
      resolve({ exitCode: child.exitCode, stdout, stderr });
    });
  });
}
