import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import type { WriteStream } from 'node:tty';
import { openHttpTransport } from './api/http-transport.ts';
import { systemCode } from './cli-error.ts';
import type { CliIo, TerminalSize } from './cli-io.ts';

/** The io of a real process. What takes calls that Node lacks is passed in. */
export function processIo(native: Pick<CliIo, 'nextDataBytes' | 'sha256Pair'>): CliIo {
  // A reader such as `head` that has seen enough is no failure of ours.
  process.stdout.on('error', (error) => {
    if (systemCode(error) !== 'EPIPE') throw error;
  });
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

/** Some terminals do not say how large they are: those are taken to be of the usual size. */
function terminalSize({ isTTY, rows, columns }: WriteStream): TerminalSize | null {
  return isTTY ? { rows: rows > 0 ? rows : 24, columns: columns > 0 ? columns : 80 } : null;
}

/** From package.json, which lies two directories up from the source and from what is compiled of it alike. */
export function packageVersion(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}
