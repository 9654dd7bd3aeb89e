import { execFile } from 'node:child_process';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startServer } from '../helpers/server-process.ts';

const run = promisify(execFile);
const ROOT = fileURLToPath(new URL('../..', import.meta.url));
/** Whoever runs the test may have an older Node first in the path. */
const env = { ...process.env, PATH: `${dirname(process.execPath)}:${process.env['PATH'] ?? ''}` };

let directory = '';
let packed: readonly string[] = [];
const command = (): string => join(directory, 'installed', 'node_modules', '.bin', 'drivebay');

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'drivebay-package-'));
  const { stdout } = await run('npm', ['pack', '--json', '--pack-destination', directory], {
    cwd: ROOT,
    env,
  });
  const [report] = JSON.parse(stdout.slice(stdout.indexOf('['))) as [{ files: { path: string }[] }];
  packed = report.files.map(({ path }) => path);
  const tarball = (await readdir(directory)).find((name) => name.endsWith('.tgz')) ?? '';
  const installed = join(directory, 'installed');
  await run('mkdir', [installed]);
  await writeFile(join(installed, 'package.json'), '{"private": true}');
  const options = ['--prefer-offline', '--no-audit', '--no-fund'];
  await run('npm', ['install', ...options, join(directory, tarball)], { cwd: installed, env });
});
afterAll(async () => rm(directory, { recursive: true, force: true }));

test('the package holds compiled code and no tests', () => {
  expect(packed).toEqual(
    expect.arrayContaining(['dist/main.js', 'dist/xts.wasm', 'dist/THIRD-PARTY-NOTICES.txt', 'README.md']),
  );
  expect(packed.filter((path) => /\.ts$|test|scratch|describe-/.test(path))).toEqual([]);
});

test('the installed command says its version and its help', async () => {
  const version = await run(command(), ['--version'], { env });
  expect(version.stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
  const help = await run(command(), ['serve', '--help'], { env });
  expect(help.stdout).toContain('--data-dir');
});

test('the installed server keeps an encrypted drive from one run to the next', async () => {
  const dataDirectory = join(directory, 'data');
  const start = async () =>
    await startServer({
      command: [command()],
      dataDirectory,
      env: { PATH: env.PATH },
    });
  const data = Buffer.alloc(70_000, 'drivebay');
  let drive = '';
  {
    await using server = await start();
    drive = await server.create('name packed\nsize 1M\n');
    expect((await server.write(`${drive}/777`, data)).status).toBe(204);
    expect(await server.stop()).toBe(0);
  }
  await using server = await start();
  expect((await server.read(drive, 777, data.length)).equals(data)).toBe(true);
});
