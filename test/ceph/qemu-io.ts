import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';

const PROMPT = 'qemu-io> ';

/** A block node of QEMU in a process of its own, as a virtual machine would have it open. */
export interface QemuIo extends AsyncDisposable {
  readonly pid: number;
  /** Does one command of `qemu-io`; answers what it prints. */
  run(command: string): Promise<string>;
  /** Writes the byte into a whole range; answers whether QEMU says that it has. */
  write(byte: number, offsetBytes: number, lengthBytes: number): Promise<boolean>;
  /** Ends in order, as a machine that is shut down: Ceph need not wait for it. Disposed of it is killed. */
  quit(): Promise<void>;
  /** Whether the whole range holds the byte. */
  holds(byte: number, offsetBytes: number, lengthBytes: number): Promise<boolean>;
}

/** @param options what QEMU has after `-blockdev`, and `-object` or null */
export async function openQemuIo(options: {
  readonly blockdev: Readonly<Record<string, unknown>>;
  readonly object?: string | null;
  /** Ceph's configuration, and the keyring of the user that is named. */
  readonly conf: string;
}): Promise<QemuIo> {
  const { 'node-name': _, ...blockdev } = options.blockdev;
  const image = `json:${JSON.stringify(withConf(blockdev, options.conf))}`;
  const objects = options.object === undefined || options.object === null ? [] : ['--object', options.object];
  const access = blockdev['read-only'] === true ? ['--read-only'] : [];
  const child = spawn('qemu-io', [...objects, ...access, '--discard', 'unmap', image], {
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  const answers = answersOf(child);
  const run = async (command: string): Promise<string> => {
    child.stdin.write(`${command}\n`);
    return await answers.next();
  };
  await answers.next();
  return {
    pid: child.pid ?? 0,
    run,
    write: async (byte, offsetBytes, lengthBytes) =>
      (await run(`write -P ${byte} ${offsetBytes} ${lengthBytes}`)).includes(`wrote ${lengthBytes}/`),
    async holds(byte, offsetBytes, lengthBytes) {
      const answer = await run(`read -P ${byte} ${offsetBytes} ${lengthBytes}`);
      return answer.includes(`read ${lengthBytes}/`) && !answer.includes('verification failed');
    },
    async quit() {
      child.stdin.write('quit\n');
      await hasEnded(child);
    },
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL');
      await hasEnded(child);
    },
  };
}

async function hasEnded(child: ChildProcess): Promise<void> {
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
}

/** The test's cluster is in no place where QEMU looks by itself. */
function withConf(
  blockdev: Readonly<Record<string, unknown>>,
  conf: string,
): Readonly<Record<string, unknown>> {
  const { file } = blockdev;
  if (typeof file === 'object') return { ...blockdev, file: { ...file, conf } };
  return { ...blockdev, conf };
}

/** What the process prints up to each prompt. Rejects when it ends before one. */
function answersOf(child: ChildProcess): { next(): Promise<string> } {
  let text = '';
  let wake = (): void => undefined;
  const take = (chunk: Buffer): void => {
    text += String(chunk);
    wake();
  };
  child.stdout?.on('data', take);
  child.stderr?.on('data', take);
  child.on('exit', () => wake());
  return {
    async next() {
      for (;;) {
        const end = text.indexOf(PROMPT);
        if (end >= 0) {
          const answer = text.slice(0, end);
          text = text.slice(end + PROMPT.length);
          return answer;
        }
        if (child.exitCode !== null || child.signalCode !== null)
          throw new Error(`qemu-io has ended: ${text}`);
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    },
  };
}
