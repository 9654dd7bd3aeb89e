import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { BlockWriter, WriteLog } from '../fault/numbered-blocks.ts';

const PROGRAM = fileURLToPath(new URL('./writer-process.ts', import.meta.url));

export interface RemoteWriterOptions extends Pick<BlockWriter, 'name' | 'blocks' | 'lanes'> {
  readonly target:
    | { readonly kind: 'nbd'; readonly uri: string }
    | { readonly kind: 'http'; readonly port: number; readonly auth: string; readonly drive: string };
}

/** A writer in a process of its own. */
export interface RemoteWriter extends AsyncDisposable {
  /** Resolves once the log knows everything that the writer has done until now. */
  settle(): Promise<void>;
  stop(): Promise<void>;
}

/** @param enter what is put before its command, such as that of a namespace */
export function startRemoteWriter(
  enter: readonly [string, ...string[]],
  options: RemoteWriterOptions,
  log: WriteLog,
): RemoteWriter {
  const [program, ...args] = enter;
  const command = [...args, process.execPath, PROGRAM, JSON.stringify(options)];
  const child = spawn(program, command, { stdio: ['pipe', 'pipe', 'inherit'] });
  const exited = once(child, 'close');
  const marks = new Map<string, () => void>();
  createInterface({ input: child.stdout }).on('line', (line) => {
    const [what = '', block, number] = line.split(' ');
    if (what === 'sent') log.sent(Number(block), Number(number));
    else if (what === 'acknowledged') log.acknowledged(Number(block), Number(number));
    else if (what === 'refused') log.refused(line.slice('refused '.length));
    else marks.get(String(block))?.();
  });
  const stop = async (): Promise<void> => {
    child.stdin.end();
    await exited;
  };
  return {
    async settle() {
      const mark = String(marks.size);
      const seen = new Promise<void>((resolve) => void marks.set(mark, resolve));
      child.stdin.write(`${mark}\n`);
      await seen;
    },
    stop,
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL');
      await exited;
    },
  };
}
