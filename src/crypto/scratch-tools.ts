import { execFileSync } from 'node:child_process';
import type { ExecFileSyncOptions } from 'node:child_process';

// Other programs that read and write the same volumes; tests compare Drivebay with them.

/** Each tool and the Debian package that brings it. */
const PACKAGES = { cryptsetup: 'cryptsetup-bin', 'qemu-img': 'qemu-utils' } as const;
export type OutsideTool = keyof typeof PACKAGES;

/** QEMU's words when its timing of the key derivation found no processor time used, as on a busy machine with a coarse clock. */
const TIMING_FAILED = 'Unable to get accurate CPU usage';
const TIMING_ATTEMPTS = 20;

/** Runs `qemu-img`, again when only its timing failed. */
export function runQemuImg(args: readonly string[]): string {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return runTool('qemu-img', args);
    } catch (error) {
      if (attempt === TIMING_ATTEMPTS || !String(error).includes(TIMING_FAILED)) throw error;
    }
  }
}

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
