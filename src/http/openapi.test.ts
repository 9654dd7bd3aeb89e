import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { CREATE_DRIVE } from './drive-inputs.ts';
import { ERROR_TABLE } from './error-table.ts';
import { renderOpenApi } from './openapi.ts';

const README = readFileSync(new URL('../../docs/api/README.md', import.meta.url), 'utf8');

test('docs/api/openapi.json is what the commands say; `node scripts/write-openapi.ts` writes it anew', () => {
  const kept = readFileSync(new URL('../../docs/api/openapi.json', import.meta.url), 'utf8');
  expect(kept).toBe(renderOpenApi());
});

test('docs/api/README.md has a section for every command', () => {
  const { paths } = JSON.parse(renderOpenApi()) as { paths: Record<string, { get?: object }> };
  for (const [path, { get }] of Object.entries(paths)) {
    const documented = path.replace(/\{([a-z]+)\}/g, (_whole, name: string) => name.toUpperCase());
    expect(README).toContain(`\`${get === undefined ? 'POST' : 'GET'} ${documented}\``);
  }
});

test('docs/api/README.md names every key of create and every line of the error table', () => {
  for (const key of Object.keys(CREATE_DRIVE.fields)) expect(README).toContain(`\`${key}\``);
  for (const { status, type } of Object.values(ERROR_TABLE))
    expect(README.replaceAll(/ +/g, ' ')).toContain(`| ${status} | ${type} |`);
});
