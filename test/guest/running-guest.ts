import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import type { GuestFiles } from './guest-files.ts';

/** A virtual machine that writes one file after the other; see root-init.sh. */
export interface RunningGuest extends AsyncDisposable {
  /** Everything that its kernel and its programs have printed. */
  console(): string;
  /** The files that it has announced as safe: the SHA-256 of each, by name. */
  synced(): ReadonlyMap<string, string>;
  /** Waits until it has announced so many files more; rejects when it ends before that, or is too slow. */
  untilSynced(more: number): Promise<void>;
  /** Ends it as a power failure does. */
  kill(): Promise<void>;
}

const SYNCED_TIMEOUT_MS = 60_000;
/** Prints errors and warnings, but nothing below; spends no time on what a short-lived guest does not need. */
const KERNEL_LINE = 'console=ttyS0 loglevel=5 panic=-1 mitigations=off nokaslr no_timer_check';
const MACHINE =
  '-machine pc,accel=tcg -cpu max -m 128 -smp 1 -nodefaults -no-reboot -nographic -serial stdio'.split(' ');

/** Boots from a drive; `driveLines` are the words for a shell that `drivebay attach --qemu` prints. */
export function bootGuest({ kernel, initramfs }: GuestFiles, driveLines: string): RunningGuest {
  const script = `exec qemu-system-x86_64 "$@" ${driveLines}`;
  const args = [...MACHINE, '-kernel', kernel, '-initrd', initramfs, '-append', KERNEL_LINE];
  const child = spawn('sh', ['-c', script, 'sh', ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  const exited = once(child, 'close');
  let text = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (part: string) => {
      text += part;
    });
  }
  const synced = (): ReadonlyMap<string, string> =>
    new Map(
      [...text.matchAll(/^SYNCED (\d+) ([0-9a-f]{64})\r?$/gm)].map(
        ([, name, sum]) => [name, sum] as [string, string],
      ),
    );
  const kill = async (): Promise<void> => {
    child.kill('SIGKILL');
    await exited;
  };
  return {
    console: () => text,
    synced,
    kill,
    async untilSynced(more) {
      const wanted = synced().size + more;
      const deadlineMs = performance.now() + SYNCED_TIMEOUT_MS;
      while (synced().size < wanted) {
        if (child.exitCode !== null || performance.now() > deadlineMs || text.includes('GUEST FAILED')) {
          throw new Error(`The guest has written ${synced().size} files of ${wanted}:\n${text}`);
        }
        await sleep(20);
      }
    },
    [Symbol.asyncDispose]: kill,
  };
}
