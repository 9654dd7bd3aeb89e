import { spawnSync } from 'node:child_process';
import { openSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const MAIN = fileURLToPath(new URL('../main.ts', import.meta.url));

test('standard output on a full disk is one sentence and exit code 1', () => {
  const { status, stderr } = spawnSync(process.execPath, [MAIN, 'version'], {
    stdio: ['ignore', openSync('/dev/full', 'w'), 'pipe'],
    encoding: 'utf8',
  });
  expect(stderr).toBe('drivebay: cannot write standard output: the disk is full\n');
  expect(status).toBe(1);
});
