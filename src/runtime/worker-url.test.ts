import { expect, test } from 'vitest';
import { workerUrl } from './worker-url.ts';

test('a worker of a source file is a source file', () => {
  expect(workerUrl('./b-thread.ts', 'file:///x/src/a/a.ts').href).toBe('file:///x/src/a/b-thread.ts');
});

test('a worker of a compiled file is a compiled file', () => {
  expect(workerUrl('../b/b-thread.ts', 'file:///x.ts/dist/a/a.js').href).toBe(
    'file:///x.ts/dist/b/b-thread.js',
  );
});
