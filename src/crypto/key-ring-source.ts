import { execFile } from 'node:child_process';
import { closeSync, fsyncSync, openSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { formatKeyRing, parseKeyRing, withNewKey } from './key-ring.ts';
import type { KeyRing } from './key-ring.ts';

/** Where master keys are kept. Messages of errors never show a key. */
export interface KeyRingSource {
  load(): Promise<KeyRing>;
  /** Keeps another ring, durably; null where only the operator can. */
  readonly replace: ((ring: KeyRing) => Promise<void>) | null;
}

const COMMAND_TIMEOUT_MS = 30_000;

/** Keys given as they are. */
export function textKeyRing(text: string): KeyRingSource {
  return {
    replace: null,
    async load() {
      try {
        return parseKeyRing(text);
      } catch (cause) {
        throw new Error(`DRIVEBAY_MASTER_KEY: ${messageOf(cause)}`, { cause });
      }
    },
  };
}

/** Keys that a shell command prints. */
export function commandKeyRing(command: string, { timeoutMs = COMMAND_TIMEOUT_MS } = {}): KeyRingSource {
  return {
    replace: null,
    async load() {
      const text = await outputOf(command, timeoutMs);
      try {
        return parseKeyRing(text);
      } catch (cause) {
        throw new Error(`The command for the master key gave none: ${messageOf(cause)}`, { cause });
      }
    },
  };
}

/** What the command prints. Its error is not passed on as a cause, because it shows the output, which may hold keys. */
async function outputOf(command: string, timeoutMs: number): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  execFile('/bin/sh', ['-c', command], { timeout: timeoutMs, killSignal: 'SIGKILL' }, (error, stdout) => {
    if (error === null) resolve(stdout);
    else if (error.killed === true)
      reject(new Error(`The command for the master key took over ${timeoutMs} ms.`));
    else reject(new Error(`The command for the master key failed with exit code ${String(error.code)}.`));
  });
  return await promise;
}

/**
 * Keys in a file of mode 0600.
 *
 * @param mayMake whether the file is made when it is missing: only while nobody has another one
 */
export function fileKeyRing(file: string, mayMake: () => Promise<boolean>): KeyRingSource {
  return {
    async load() {
      const text = readKeyFile(file);
      if (text !== null) return parseKeyFile(file, text);
      if (!(await mayMake())) {
        throw new Error(
          `The master key ${file} is missing, and there are drives or other nodes that need it. Put it back from a backup, or ` +
            'copy it from another node.',
        );
      }
      const ring = withNewKey(null);
      replaceFile(file, formatKeyRing(ring));
      return ring;
    },
    replace: (ring) => Promise.resolve(replaceFile(file, formatKeyRing(ring))),
  };
}

function parseKeyFile(file: string, text: string): KeyRing {
  try {
    return parseKeyRing(text);
  } catch (cause) {
    throw new Error(`${file}: ${messageOf(cause)}`, { cause });
  }
}

function readKeyFile(file: string): string | null {
  try {
    const mode = statSync(file).mode % 0o100;
    if (mode !== 0) {
      throw new Error(`The master key ${file} can be read by others than its owner. Run: chmod 600 ${file}`);
    }
    return readFileSync(file, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null;
    throw error;
  }
}

function replaceFile(file: string, text: string): void {
  try {
    writeFileSync(`${file}.new`, text, { mode: 0o600, flush: true });
  } catch (cause) {
    throw new Error(`The master key ${file} cannot be written: ${messageOf(cause)}.`, { cause });
  }
  renameSync(`${file}.new`, file);
  const fd = openSync(dirname(file), 'r');
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

function messageOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
