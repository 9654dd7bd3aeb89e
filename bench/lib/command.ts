import { spawn } from 'node:child_process';
import { openSync } from 'node:fs';

/** Runs a command to its end and gives its standard output; throws with its error output when it fails. */
export async function run(
  command: string,
  args: readonly string[],
  options: { stdoutFile?: string; env?: Readonly<Record<string, string>> } = {},
): Promise<string> {
  const stdout = options.stdoutFile === undefined ? 'pipe' : openSync(options.stdoutFile, 'w');
  const child = spawn(command, args, {
    stdio: ['ignore', stdout, 'pipe'],
    env: { ...process.env, ...options.env },
  });
  const output: Buffer[] = [];
  const errors: Buffer[] = [];
  child.stdout?.on('data', (chunk: Buffer) => output.push(chunk));
  child.stderr?.on('data', (chunk: Buffer) => errors.push(chunk));
  const exitCode = await new Promise<number | null>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', resolve);
  });
  if (exitCode !== 0) {
    throw new Error(
      `${command} ${args.join(' ')} ended with ${exitCode}: ${Buffer.concat(errors).toString()}`,
    );
  }
  return Buffer.concat(output).toString();
}
