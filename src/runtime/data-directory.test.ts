import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { openDataDirectory } from './data-directory.ts';

let directory = '';
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'drivebay-data-'));
});
afterEach(() => rmSync(directory, { recursive: true }));

test('a second server on the same data directory is refused with what to do', () => {
  const data = join(directory, 'a', 'data');
  using lock = openDataDirectory(data);
  expect(lock.path).toBe(join(data, 'lock'));
  expect(statSync(data).mode & 0o777).toBe(0o700);
  expect(() => openDataDirectory(data)).toThrow(
    expect.objectContaining({ code: 'busy', message: expect.stringContaining('--data-dir') }),
  );
});

test('a path that is a file is refused with the reason', () => {
  const file = join(directory, 'file');
  writeFileSync(file, '');
  expect(() => openDataDirectory(join(file, 'data'))).toThrow(
    expect.objectContaining({ code: 'failed', message: expect.stringContaining('ENOTDIR') }),
  );
});
