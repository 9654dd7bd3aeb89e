import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished, expect, test } from 'vitest';
import { noise } from '../../test/helpers/sample-bytes.ts';
import { gmacOf } from './gmac.ts';

const DATA = noise('gmac', 1_000_003);

test('it is what `openssl mac` says, as docs/api/README.md tells', () => {
  const directory = mkdtempSync(join(tmpdir(), 'drivebay-gmac-'));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  const path = join(directory, 'body');
  writeFileSync(path, DATA);
  const zeros = ['-macopt', `hexkey:${'0'.repeat(32)}`, '-macopt', `hexiv:${'0'.repeat(24)}`];
  const args = ['mac', '-cipher', 'AES-128-GCM', ...zeros, '-binary', '-in', path, 'GMAC'];
  expect(execFileSync('openssl', args)).toEqual(gmacOf([DATA]));
});

test.each([[[0, 1, 17, 4096, 999_999]], [[16, 32, 1_000_002]], [[]]])(
  'parts that begin at %j are as good as the whole',
  (starts) => {
    const parts = [0, ...starts].map((start, index) => DATA.subarray(start, [...starts, DATA.length][index]));
    expect(gmacOf(parts)).toEqual(gmacOf([DATA]));
  },
);

test('of nothing it is one of nothing, and each bit matters', () => {
  expect(gmacOf([])).toEqual(gmacOf([Buffer.alloc(0)]));
  expect(gmacOf([Buffer.alloc(16)])).not.toEqual(gmacOf([]));
  const other = Buffer.from(DATA);
  other[500_000] = (other[500_000] ?? 0) ^ 1;
  expect(gmacOf([other])).not.toEqual(gmacOf([DATA]));
});
