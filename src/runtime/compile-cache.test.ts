import { execFileSync, spawnSync } from 'node:child_process';
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { isOursAlone } from './compile-cache.ts';

let base = '';
let folder = '';
beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), 'drivebay-compiled-'));
  folder = join(base, 'folder');
});
afterEach(() => rmSync(base, { recursive: true }));

test('a folder that is not there is made, for its user alone', () => {
  expect(isOursAlone(folder)).toBe(true);
  expect(statSync(folder).mode & 0o777).toBe(0o700);
  expect(isOursAlone(folder)).toBe(true);
});

test.each([0o770, 0o707, 0o750])('a folder with rights %o for others is not used', (mode) => {
  mkdirSync(folder);
  chmodSync(folder, mode);
  expect(isOursAlone(folder)).toBe(false);
});

test('neither a link to a folder nor a file is used', () => {
  const other = join(base, 'other');
  mkdirSync(other, { mode: 0o700 });
  symlinkSync(other, folder);
  expect(isOursAlone(folder)).toBe(false);
  writeFileSync(join(base, 'file'), '');
  expect(isOursAlone(join(base, 'file'))).toBe(false);
  expect(isOursAlone(join(base, 'file', 'folder'))).toBe(false);
});

test('a folder of another user is not used', () => {
  const ownId = process.getuid?.() ?? 0;
  expect(isOursAlone(folder, ownId)).toBe(true);
  expect(isOursAlone(folder, ownId + 1)).toBe(false);
});

test('threads that are started afterwards keep what they compile in the same folder', () => {
  const program = `
    import { Worker } from 'node:worker_threads';
    import { keepCompiled } from '${new URL('compile-cache.ts', import.meta.url).href}';
    keepCompiled();
    new Worker("import('node:module').then((all) => console.log(all.getCompileCacheDir()))", { eval: true });
  `;
  const output = execFileSync(process.execPath, ['--input-type=module', '--eval', program], {
    env: { TMPDIR: base },
    encoding: 'utf8',
  });
  expect(output).toContain(join(base, 'drivebay-compiled-'));
});

test('what was compiled so far is kept also when the process is killed', () => {
  const program = `
    import { keepCompiled, keepCompiledSoFar } from '${new URL('compile-cache.ts', import.meta.url).href}';
    keepCompiled();
    await import('${new URL('clock.ts', import.meta.url).href}');
    keepCompiledSoFar();
    process.kill(process.pid, 'SIGKILL');
  `;
  const { signal } = spawnSync(process.execPath, ['--input-type=module', '--eval', program], {
    env: { TMPDIR: base },
  });
  expect(signal).toBe('SIGKILL');
  const kept = readdirSync(base, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  expect(kept).not.toEqual([]);
});
