import { execFileSync } from 'node:child_process';
import type { ExecFileSyncOptions } from 'node:child_process';

// Other programs that read and write the same volumes; tests compare Drivebay with them.

/** Each tool and the Debian package that brings it. */
const PACKAGES = { cryptsetup: 'cryptsetup-bin', 'qemu-img': 'qemu-utils' } as const;
export type OutsideTool = keyof typeof PACKAGES;

/** Runs a tool, with `input` on its standard input, and gives back what it prints. Throws with its messages when it fails. */
export function runTool(
  tool: OutsideTool,
  args: readonly string[],
  { input }: { input?: string } = {},
): string {
  const path = `${process.env['PATH'] ?? ''}:/usr/local/sbin:/usr/sbin:/sbin`;
  const options: ExecFileSyncOptions = { stdio: 'pipe', env: { ...process.env, PATH: path, LC_ALL: 'C' } };
  try {
    return String(execFileSync(tool, args, input === undefined ? options : { ...options, input }));
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') {
      throw new Error(`${tool} is missing: apt-get install ${PACKAGES[tool]}`, { cause: error });
    }
    throw error;
  }
}
