import { execFileSync, spawnSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
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

describe('a server that starts', () => {
  const DAY_S = 24 * 60 * 60;

  /** A file that was written and read so many days ago, in a folder that has not changed since. */
  function aged(path: string, { writtenDays, readDays }: { writtenDays: number; readDays: number }): string {
    const nowS = Date.now() / 1000;
    const parent = dirname(path);
    mkdirSync(parent, { recursive: true, mode: 0o700 });
    writeFileSync(path, 'compiled');
    utimesSync(path, nowS - readDays * DAY_S, nowS - writtenDays * DAY_S);
    utimesSync(parent, nowS, nowS - writtenDays * DAY_S);
    return path;
  }

  function prune(environment: NodeJS.ProcessEnv = {}): void {
    const program = `
      import { keepCompiled, pruneCompiled } from '${new URL('compile-cache.ts', import.meta.url).href}';
      keepCompiled();
      await pruneCompiled(Date.now(), new AbortController().signal);
    `;
    const env = { TMPDIR: base, ...environment };
    execFileSync(process.execPath, ['--input-type=module', '--eval', program], { env });
  }

  const ownFolder = (): string => join(base, `drivebay-compiled-${process.getuid?.() ?? 'user'}`);

  test('removes what was not used for a month, and nothing else', () => {
    const old = { writtenDays: 40, readDays: 31 };
    const removed = [aged(join(ownFolder(), 'v20', 'a'), old), aged(join(ownFolder(), 'v22', 'b'), old)];
    const kept = [
      aged(join(ownFolder(), 'v22', 'written'), { writtenDays: 29, readDays: 40 }),
      aged(join(ownFolder(), 'v22', 'read'), { writtenDays: 40, readDays: 29 }),
    ];
    prune();
    expect(removed.filter((path) => existsSync(path))).toEqual([]);
    expect(kept.filter((path) => !existsSync(path))).toEqual([]);
    expect(readdirSync(ownFolder())).not.toContain('v20');
  });

  test('looks for that once a day', () => {
    const old = { writtenDays: 40, readDays: 31 };
    prune();
    const path = aged(join(ownFolder(), 'v22', 'a'), old);
    prune();
    expect(existsSync(path)).toBe(true);
    const yesterday = Date.now() / 1000 - 1.1 * DAY_S;
    utimesSync(join(ownFolder(), 'pruned'), yesterday, yesterday);
    prune();
    expect(existsSync(path)).toBe(false);
  });

  test('leaves a folder alone that is empty since lately', () => {
    mkdirSync(join(ownFolder(), 'v26'), { recursive: true, mode: 0o700 });
    prune();
    expect(existsSync(join(ownFolder(), 'v26'))).toBe(true);
  });

  test('leaves a folder alone that NODE_COMPILE_CACHE names, and makes none beside it', () => {
    const other = aged(join(base, 'other', 'v20', 'a'), { writtenDays: 40, readDays: 40 });
    prune({ NODE_COMPILE_CACHE: join(base, 'other') });
    expect(existsSync(other)).toBe(true);
    expect(existsSync(ownFolder())).toBe(false);
  });
});
