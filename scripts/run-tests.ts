import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';

// Everything that is checked, in one run that does not stop at the first failure. The last line is the sum of it.

interface Outcome {
  readonly passed: number;
  /** A line for each check or test that failed or did not run. */
  readonly failed: readonly string[];
}

/** What is read of the report that vitest writes. */
interface Report {
  readonly testResults: readonly {
    readonly name: string;
    readonly message: string;
    readonly assertionResults: readonly { readonly fullName: string; readonly status: string }[];
  }[];
}

const CHECKS: Readonly<Record<string, readonly string[]>> = {
  format: ['prettier', '--check', '--log-level', 'warn', '.'],
  lint: ['oxlint', '--quiet'],
  types: ['tsc', '--noEmit', '-p', '.'],
  'dead files': ['knip', '--no-progress'],
};

/** Where a command prints: as it goes, or all of it at its end, since another one prints meanwhile. */
type Printing = 'at once' | 'at its end';

async function run(
  command: string,
  args: readonly string[],
  printing: Printing = 'at once',
): Promise<boolean> {
  const isLate = printing === 'at its end';
  const child = spawn(command, args, { stdio: isLate ? ['inherit', 'pipe', 'pipe'] : 'inherit' });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
  }
  const [exitCode] = (await once(child, 'close')) as [number | null];
  process.stdout.write(output);
  return exitCode === 0;
}

async function runCheck(name: string, [command = '', ...args]: readonly string[]): Promise<Outcome> {
  const isGood = await run(command, args);
  console.log(`${isGood ? 'passed' : 'FAILED'}: ${name}`);
  return isGood ? { passed: 1, failed: [] } : { passed: 0, failed: [name] };
}

async function runProject(project: string, printing?: Printing): Promise<Outcome> {
  const directory = mkdtempSync(join(tmpdir(), 'drivebay-tests-'));
  try {
    const report = join(directory, 'report.json');
    const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`];
    const isGood = await run('vitest', ['run', '--project', project, ...reporters], printing);
    const outcome = readReport(report);
    // Such as an error outside of every test.
    return isGood || outcome.failed.length > 0 ? outcome : { ...outcome, failed: [project] };
  } finally {
    rmSync(directory, { recursive: true });
  }
}

function readReport(path: string): Outcome {
  if (!existsSync(path)) return { passed: 0, failed: [`no report at ${path}`] };
  const { testResults } = JSON.parse(readFileSync(path, 'utf8')) as Report;
  const files = testResults.map(({ name, message, assertionResults }): Outcome => {
    const file = relative(process.cwd(), name);
    // A test that did not run has shown nothing.
    const failed = assertionResults.filter(({ status }) => status !== 'passed');
    // A file that could not even be loaded has no test that failed.
    if (assertionResults.length === 0) return { passed: 0, failed: [`${file}: ${message}`] };
    return {
      passed: assertionResults.length - failed.length,
      failed: failed.map(({ fullName }) => `${file}: ${fullName}`),
    };
  });
  return sum(files);
}

function sum(outcomes: readonly Outcome[]): Outcome {
  return {
    passed: outcomes.reduce((count, { passed }) => count + passed, 0),
    failed: outcomes.flatMap(({ failed }) => failed),
  };
}

const outcomes: Outcome[] = [];
// It mostly waits, and what runs meanwhile never does.
const away = runProject('ceph-away', 'at its end');
for (const [name, command] of Object.entries(CHECKS)) outcomes.push(await runCheck(name, command));
outcomes.push(await runProject('unit'), await away);
for (const project of ['e2e', 'ceph']) outcomes.push(await runProject(project));
const { passed, failed } = sum(outcomes);
// Said again at the end, where it is looked for.
for (const line of failed) console.log(`FAILED: ${line}`);
console.log(`${passed} passed, ${failed.length} failed`);
process.exitCode = failed.length === 0 ? 0 : 1;
