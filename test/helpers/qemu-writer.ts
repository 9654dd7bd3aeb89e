import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { parseNbdUri } from '../../src/nbd/nbd-uri.ts';

/** A drive in QEMU, as a guest has it: what gets no answer is asked for again when the server is back. */
export interface QemuWriter extends AsyncDisposable {
  /** Answers `ok`, or what QEMU says of the I/O error that a guest would see. One write at a time. */
  write(offsetBytes: number, data: Uint8Array): Promise<string>;
}

/** How long QEMU waits for its server, in seconds. */
const RECONNECT_SECONDS = 120;

/** @param dataPath a file of its own, for what is written */
export async function startQemuWriter(uri: string, dataPath: string): Promise<QemuWriter> {
  const parsed = parseNbdUri(uri);
  if (parsed?.endpoint.kind !== 'tcp') throw new Error(`${uri} is of no use here.`);
  const { endpoint, exportName } = parsed;
  const image = [
    'driver=nbd',
    `server.type=inet,server.host=${endpoint.host},server.port=${endpoint.port}`,
    `export=${exportName},reconnect-delay=${RECONNECT_SECONDS}`,
  ].join();
  const child = spawn('qemu-io', ['--image-opts', image], { stdio: ['pipe', 'pipe', 'pipe'] });
  const exited = once(child, 'close');
  const lines = createInterface({ input: child.stdout });
  let answer = (_line: string): void => undefined;
  const hear = (line: string): void => {
    // What it says while a write is under way is how that has ended, and then how long it took.
    if (/^(qemu-io> )*wrote /.test(line)) answer('ok');
    else if (/error|failed|invalid/i.test(line)) answer(line);
  };
  lines.on('line', hear);
  createInterface({ input: child.stderr }).on('line', hear);
  void exited.then(() => answer('qemu-io has ended'));
  return {
    async write(offsetBytes, data) {
      await writeFile(dataPath, data);
      const answered = new Promise<string>((resolve) => {
        answer = resolve;
      });
      child.stdin.write(`write -s ${dataPath} ${offsetBytes} ${data.byteLength}\n`);
      return await answered;
    },
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL');
      await exited;
    },
  };
}
