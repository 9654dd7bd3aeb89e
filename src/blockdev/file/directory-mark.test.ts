import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { POOL_MARK_NAME } from '../pool-mark.ts';
import type { PoolMarkRequest } from '../pool-mark.ts';
import { checkDirectoryMark } from './directory-mark.ts';

let directory = '';
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'drivebay-mark-'));
});
afterEach(() => {
  chmodSync(directory, 0o700);
  rmSync(directory, { recursive: true });
});

const ours = { poolName: 'main', installationId: 'installation-1', mayCreate: false };
const check = ({
  directory: other = directory,
  ...change
}: Partial<PoolMarkRequest> & { directory?: string } = {}) =>
  checkDirectoryMark(other, { ...ours, ...change });
const mark = (): string => join(directory, POOL_MARK_NAME);

test('a directory is marked when the pool is new, and is ours from then on', () => {
  expect(check({ mayCreate: true })).toEqual({ ok: true });
  expect(JSON.parse(readFileSync(mark(), 'utf8'))).toEqual({
    format: 1,
    installation: 'installation-1',
    pool: 'main',
  });
  expect(check()).toEqual({ ok: true });
});

test('a directory without a mark is not taken for a pool that was used before', () => {
  const answer = check();
  expect(answer).toEqual({ ok: false, reason: expect.stringContaining('not mounted') });
  expect(existsSync(mark())).toBe(false);
});

test('a mark of another installation, pool or format, or a damaged one, is refused with what to do', () => {
  check({ mayCreate: true });
  const refusal = (text: string) => ({ ok: false, reason: expect.stringContaining(text) });
  expect(check({ installationId: 'installation-2', mayCreate: true })).toEqual(
    refusal('belongs to installation'),
  );
  expect(check({ poolName: 'other', mayCreate: true })).toEqual(refusal('is pool main'));
  writeFileSync(mark(), '{"format":2,"installation":"installation-1","pool":"main"}');
  expect(check()).toEqual(refusal('format 2'));
  for (const text of ['', '{}', 'null', '{"format":']) {
    writeFileSync(mark(), text);
    expect(check({ mayCreate: true })).toEqual(refusal('damaged'));
  }
});

test('a directory that is missing, or is a file, is named with what to do', () => {
  const missing = join(directory, 'missing');
  const refusal = (text: string) => ({ ok: false, reason: expect.stringContaining(text) });
  expect(check({ directory: missing, mayCreate: true })).toEqual(refusal(`${missing} does not exist`));
  expect(existsSync(missing)).toBe(false);
  const file = join(directory, 'file');
  writeFileSync(file, '');
  expect(check({ directory: file, mayCreate: true })).toEqual(refusal('is no directory'));
});
