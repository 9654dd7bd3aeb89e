import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { nodeVersionProblem, OLDEST_NODE_MAJOR } from './node-version.ts';

test('an old Node is named in one sentence with the version that is needed', () => {
  expect(nodeVersionProblem('20.20.2')).toMatch(/needs Node 26 or newer, and this is Node 20\.20\.2/);
  expect(nodeVersionProblem('26.0.0')).toBeNull();
  expect(nodeVersionProblem('100.0.0-nightly')).toBeNull();
});

test('package.json asks for the same version', () => {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  expect(JSON.parse(text)).toMatchObject({ engines: { node: `>=${OLDEST_NODE_MAJOR}` } });
});
