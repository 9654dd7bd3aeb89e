import { setTimeout as delay } from 'node:timers/promises';
import type { WriteStream } from 'node:tty';
import packageFile from '../../package.json' with { type: 'json' };
import { openHttpTransport } from './api/http-transport.ts';
import { fileError, systemCode } from './cli-error.ts';
import type { CliIo, TerminalSize } from './cli-io.ts';

/** The io of a real process. What takes calls that Node lacks is passed in. */
export function processIo(
  native: Pick<CliIo, 'nextDataBytes' | 'sha256InThread' | 'preferHugePages'>,
): CliIo {
  process.stdout.on('error', outputFailed);
  return {
    stdout: process.stdout,
    stderr: process.stderr,
    stdin: process.stdin,
    env: process.env,
    isTty: process.stderr.isTTY,
    terminal: () => terminalSize(process.stdout),
    version: packageVersion(),
    openTransport: openHttpTransport,
    ...native,
    setExitCode: (code) => {
      process.exitCode = code;
    },
    nowMs: () => performance.now(),
    random: () => Math.random(),
    sleep: (delayMs, signal) =>
      delay(delayMs, undefined, signal === undefined ? {} : { signal }).catch(() => undefined),
    onInterrupt(listener) {
      // Once: a second Ctrl-C ends the process whatever it is doing.
      process.once('SIGINT', listener).once('SIGTERM', listener);
      return () => void process.off('SIGINT', listener).off('SIGTERM', listener);
    },
  };
}

/** Ends the process: what it would say has nowhere to go. A reader such as `head` that has seen enough is no failure. */
function outputFailed(error: Error): void {
  if (systemCode(error) === 'EPIPE') return;
  const { message } = fileError('write', 'standard output', error) as Error;
  process.stderr.write(`drivebay: ${message}\n`);
  process.exit(1);
}

/** Some terminals do not say how large they are: those are taken to be of the usual size. */
function terminalSize({ isTTY, rows, columns }: WriteStream): TerminalSize | null {
  return isTTY ? { rows: rows > 0 ? rows : 24, columns: columns > 0 ? columns : 80 } : null;
}

export function packageVersion(): string {
  return packageFile.version;
}
