#!/usr/bin/env node
import { nodeVersionProblem } from './runtime/node-version.ts';

// The `drivebay` command. An old Node must be told before anything is imported that it cannot load.

const problem = nodeVersionProblem(process.versions.node);
if (problem === null) {
  // Pools that hang must not keep the threads of libuv from everybody else.
  process.env['UV_THREADPOOL_SIZE'] ??= '8';
  const { keepCompiled } = await import('./runtime/compile-cache.ts');
  keepCompiled();
  const { runDrivebay } = await import('./drivebay.ts');
  await runDrivebay(process.argv.slice(2));
} else {
  process.stderr.write(`${problem}\n`);
  process.exitCode = 1;
}
