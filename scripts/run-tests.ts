import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

// Everything that is checked, in one run that does not stop at the first failure. The last line is the sum of it.

interface Count {
  readonly passed: number;
  readonly failed: number;
}

const CHECKS: Readonly<Record<string, readonly string[]>> = {
  format: ['prettier', '--check', '--log-level', 'warn', '.'],
  lint: ['oxlint', '--quiet'],
  types: ['tsc', '--noEmit', '-p', '.'],
  'dead files': ['knip', '--no-progress'],
};

async function run(command: string, args: readonly string[]): Promise<boolean> {
  const child = spawn(command, args, { stdio: 'inherit' });
  const [exitCode] = (await once(child, 'exit')) as [number | null];
  return exitCode === 0;
}

async function runCheck(name: string, [command = '', ...args]: readonly string[]): Promise<Count> {
  const isGood = await run(command, args);
  console.log(`${isGood ? 'passed' : 'FAILED'}: ${name}`);
  return isGood ? { passed: 1, failed: 0 } : { passed: 0, failed: 1 };
}

async function runProject(project: string): Promise<Count> {
  const directory = mkdtempSync(join(tmpdir(), 'drivebay-tests-'));
  try {
    const report = join(directory, 'report.json');
    const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`];
    const isGood = await run('vitest', ['run', '--project', project, ...reporters]);
    const count = readReport(report);
    // A file that could not even be loaded has no test that failed.
    return isGood || count.failed > 0 ? count : { ...count, failed: 1 };
  } finally {
    rmSync(directory, { recursive: true });
  }
}

function readReport(path: string): Count {
  try {
    const report = JSON.parse(readFileSync(path, 'utf8')) as Record<string, number>;
    const passed = report['numPassedTests'] ?? 0;
    // A test that did not run has shown nothing.
    return { passed, failed: (report['numTotalTests'] ?? 0) - passed };
  } catch {
    return { passed: 0, failed: 1 };
  }
}

const counts: Count[] = [];
for (const [name, command] of Object.entries(CHECKS)) counts.push(await runCheck(name, command));
for (const project of ['unit', 'e2e']) counts.push(await runProject(project));
const passed = counts.reduce((sum, count) => sum + count.passed, 0);
const failed = counts.reduce((sum, count) => sum + count.failed, 0);
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
