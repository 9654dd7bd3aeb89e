#!/usr/bin/env node
import { nodeVersionProblem } from './runtime/node-version.ts';

// The `drivebay` command. An old Node must be told before anything is imported that it cannot load.

const problem = nodeVersionProblem(process.versions.node);
if (problem === null) {
  // Pools that hang must not keep the threads of libuv from everybody else.
  process.env['UV_THREADPOOL_SIZE'] ??= '8';
  // Stripping types and compiling took more than half of the time that a command needs to start.
  const { enableCompileCache } = await import('node:module');
  enableCompileCache();
  const { runDrivebay } = await import('./drivebay.ts');
  await runDrivebay(process.argv.slice(2));
} else {
  process.stderr.write(`${problem}\n`);
  process.exitCode = 1;
}
