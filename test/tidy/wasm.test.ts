import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { ROOT } from './source-tree.ts';

test('xts.wasm is what its source compiles to (npm run build:wasm)', () => {
  const manifest = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
    scripts: Record<string, string>;
  };
  const [command, ...args] = (manifest.scripts['build:wasm'] ?? '').split(' ');
  const kept = 'src/crypto/xts.wasm';
  expect([command, args.includes(kept)]).toEqual(['asc', true]);
  const directory = mkdtempSync(join(tmpdir(), 'drivebay-wasm-'));
  try {
    const output = join(directory, 'xts.wasm');
    const compiler = join(ROOT, 'node_modules/.bin/asc');
    execFileSync(process.execPath, [compiler, ...args.map((arg) => (arg === kept ? output : arg))], {
      cwd: ROOT,
    });
    expect(readFileSync(output).equals(readFileSync(join(ROOT, kept)))).toBe(true);
  } finally {
    rmSync(directory, { recursive: true });
  }
});
