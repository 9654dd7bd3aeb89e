import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { projectFiles, ROOT } from './source-tree.ts';

const TEXT_ENDINGS = ['.ts', '.md', '.json', '.yaml', '.yml', '.sh', '.txt', '.npmrc', '.gitignore'];

/** Paths of somebody's own machine. Written so that this file does not contain what it looks for. */
const MACHINE_PATH = /\/(?:Users|work|root)\/[\w.]|\/tmp\/w\/|\/home\/(?!anna\b)[a-z]/;
const UNFINISHED = /\b(?:T[O]DO|F[I]XME|X[X]X)\b/;
const SKIPPED = /\b(?:test|it|describe)\.(?:skip|only|todo|skipIf|runIf)\b/;

function linesWith(pattern: RegExp, endings: readonly string[]): readonly string[] {
  return projectFiles(endings).flatMap(({ path, text }) =>
    text
      .split('\n')
      .flatMap((line, index) => (pattern.test(line) ? [`${path}:${index + 1}: ${line.trim()}`] : [])),
  );
}

test('nothing is left marked as unfinished', () => {
  expect(linesWith(UNFINISHED, TEXT_ENDINGS)).toEqual([]);
});

test('no test is skipped or run alone', () => {
  expect(linesWith(SKIPPED, ['.test.ts'])).toEqual([]);
});

test("nothing names a path of anybody's machine", () => {
  expect(linesWith(MACHINE_PATH, TEXT_ENDINGS)).toEqual([]);
});

test('the lock file names no registry, so that any mirror will do', () => {
  const lock = readFileSync(join(ROOT, 'package-lock.json'), 'utf8');
  expect(lock).toContain('"integrity"');
  expect(lock).not.toMatch(/"resolved"/);
});

test('every dependency is of one exact version', () => {
  const manifest = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as Record<
    string,
    Record<string, string>
  >;
  const versions = { ...manifest['dependencies'], ...manifest['devDependencies'] };
  expect(Object.keys(versions).length).toBeGreaterThan(10);
  expect(Object.entries(versions).filter(([, version]) => !/^\d+\.\d+\.\d+$/.test(version))).toEqual([]);
});

test('the patterns find what they are for', () => {
  expect(`// ${['TO', 'DO'].join('')}: later`).toMatch(UNFINISHED);
  expect(`see ${['', 'work', 'main'].join('/')}`).toMatch(MACHINE_PATH);
  expect(`${['test', 'skip'].join('.')}(`).toMatch(SKIPPED);
});
