import { PassThrough, type Readable, Writable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { openHttpTransport } from '../../src/cli/api/http-transport.ts';
import type { CliIo } from '../../src/cli/cli-io.ts';
import { createClientProgram, runClient } from '../../src/cli/client-program.ts';
import { FAKE_AUTH, type FakeDriveServer } from './fake-drive-server.ts';

/** What a command left behind. */
export interface CliResult {
  readonly exitCode: number;
  readonly stdout: Buffer;
  readonly text: string;
  readonly stderr: string;
  /** What `--json` printed. */
  json(): unknown;
}

export interface CliOptions {
  readonly stdin?: Readable;
  readonly env?: Record<string, string | undefined>;
  /** Interrupts the command, as Ctrl-C does, when it is aborted. */
  readonly interrupt?: AbortSignal;
  readonly overrides?: Partial<CliIo>;
}

/** Runs a client command in this process against a fake server; delays longer than a moment are cut to one. */
export async function runCli(
  server: FakeDriveServer,
  args: readonly string[],
  options: CliOptions = {},
): Promise<CliResult> {
  const stdout: Buffer[] = [];
  const stderr: Buffer[] = [];
  let exitCode = -1;
  const io: CliIo = {
    stdout: collector(stdout),
    stderr: collector(stderr),
    stdin: options.stdin ?? new PassThrough().end(),
    env: { DRIVEBAY_URL: server.url, DRIVEBAY_AUTH: FAKE_AUTH, ...options.env },
    isTty: false,
    terminal: () => null,
    version: '1.2.3',
    openTransport: openHttpTransport,
    setExitCode: (code) => {
      exitCode = code;
    },
    nowMs: () => performance.now(),
    random: () => 0.5,
    sleep: (delayMs, signal) =>
      delay(Math.min(delayMs, 10), undefined, signal === undefined ? {} : { signal }).catch(() => undefined),
    onInterrupt(listener) {
      options.interrupt?.addEventListener('abort', listener);
      return () => options.interrupt?.removeEventListener('abort', listener);
    },
    ...options.overrides,
  };
  await runClient(createClientProgram(io), args, io);
  const output = Buffer.concat(stdout);
  return {
    exitCode,
    stdout: output,
    text: output.toString(),
    stderr: Buffer.concat(stderr).toString(),
    json: () => JSON.parse(output.toString()) as unknown,
  };
}

function collector(chunks: Buffer[]): Writable {
  return new Writable({
    write(chunk: Buffer, _encoding, done) {
      // Copied: whoever writes may use the memory again once it is told that the write is done.
      chunks.push(Buffer.from(chunk));
      done();
    },
  });
}
