import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { FileLockedError, lockFile } from './file-lock.ts';

let directory = '';
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'drivebay-lock-'));
});
afterEach(() => rmSync(directory, { recursive: true }));

test('a second holder is refused and told who holds it, until the first lets go', () => {
  const path = join(directory, 'lock');
  const first = lockFile(path);
  expect(() => lockFile(path)).toThrow(expect.objectContaining({ holderPid: process.pid }));
  first[Symbol.dispose]();
  lockFile(path)[Symbol.dispose]();
});

test('a process that is killed leaves no lock behind', async () => {
  const path = join(directory, 'lock');
  const module = new URL('file-lock.ts', import.meta.url).href;
  const script = `import { lockFile } from ${JSON.stringify(module)};
    globalThis.lock = lockFile(${JSON.stringify(path)}); console.log('locked'); setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await once(child.stdout, 'data');
  expect(() => lockFile(path)).toThrow(FileLockedError);
  child.kill('SIGKILL');
  await once(child, 'exit');
  lockFile(path)[Symbol.dispose]();
});
