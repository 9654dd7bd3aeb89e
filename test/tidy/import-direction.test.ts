import { expect, test } from 'vitest';
import { importViolations } from './import-rules.ts';
import { importEdges, projectFiles } from './source-tree.ts';

const edges = ['src', 'bench', 'scripts', 'test'].flatMap((folder) =>
  projectFiles(['.ts'], folder).flatMap(importEdges),
);

test('every folder imports only what the design lets it', () => {
  expect(edges.length).toBeGreaterThan(100);
  expect(importViolations(edges)).toEqual([]);
});

test.each([
  ['src/core/drive.ts', 'src/metadata/metadata-store.ts'],
  ['src/core/drive.test.ts', 'src/service/service.ts'],
  ['src/service/create-drive.ts', 'src/metadata/sqlite/sqlite-store.ts'],
  ['src/service/create-drive.ts', 'src/metadata/postgres/postgres-store.ts'],
  ['src/service/create-drive.ts', 'src/http/limits.ts'],
  ['src/http/answers.ts', 'src/metadata/metadata-store.ts'],
  ['src/http/answers.ts', 'src/service/create-drive.ts'],
  ['src/nbd/handshake.ts', 'src/service/create-drive.ts'],
  ['src/nbd/handshake.ts', 'src/http/limits.ts'],
  ['src/cli/session.ts', 'src/service/service.ts'],
  ['src/imaging/job-run.ts', 'src/blockdev/file/file-pool.ts'],
  ['src/main.ts', 'src/cli/session.ts'],
  ['src/novelty/thing.ts', 'src/core/drive.ts'],
])('%s importing %s would be found', (from, to) => {
  expect(importViolations([{ from, to }])).toHaveLength(1);
});

test('imports of every form are seen', () => {
  const text = `
import type { A } from './a.ts';
import {
  B,
} from '../b.ts';
import './c.ts';
export { D } from "./d.ts";
const e = await import('./e.ts');
const worker = new Worker(workerUrl('./f.ts', import.meta.url));
`;
  expect(importEdges({ path: 'src/x/file.ts', text }).map(({ to }) => to)).toEqual([
    'src/x/a.ts',
    'src/b.ts',
    'src/x/c.ts',
    'src/x/d.ts',
    'src/x/e.ts',
    'src/x/f.ts',
  ]);
});
