import { execFile } from 'node:child_process';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { runCli } from '../../../test/helpers/cli-run.ts';
import { FakeDriveServer } from '../../../test/helpers/fake-drive-server.ts';

const run = promisify(execFile);
let server: FakeDriveServer;
let directory: string;

beforeEach(async () => {
  server = await new FakeDriveServer().listen();
  directory = await mkdtemp(join(tmpdir(), 'drivebay-completion-'));
});

afterEach(async () => {
  await server[Symbol.asyncDispose]();
  await rm(directory, { recursive: true });
});

/** What bash offers after these words; the last one is being typed. */
async function complete(...words: string[]): Promise<string[]> {
  const { text } = await runCli(server, ['completion', 'bash']);
  await writeFile(join(directory, 'drivebay'), '#!/bin/sh\necho web\necho db\n');
  await chmod(join(directory, 'drivebay'), 0o755);
  const quoted = ['drivebay', ...words].map((word) => `'${word}'`).join(' ');
  const ask = `COMP_WORDS=(${quoted}); COMP_CWORD=${words.length}; _drivebay; printf '%s\\n' "\${COMPREPLY[@]}"`;
  const env = { ...process.env, PATH: `${directory}:${process.env['PATH'] ?? ''}` };
  const { stdout } = await run('bash', ['-c', `${text}\n${ask}`], { env, cwd: directory });
  return stdout.split('\n').filter((line) => line !== '');
}

test.each(['bash', 'zsh'])('the script for %s is valid syntax', async (shell) => {
  const { text, exitCode } = await runCli(server, ['completion', shell]);
  expect(exitCode).toBe(0);
  await writeFile(join(directory, 'script'), text);
  await run('bash', ['-n', join(directory, 'script')]);
});

test('the script for fish has a line for every command and option', async () => {
  const { text } = await runCli(server, ['completion', 'fish']);
  expect(text).toContain("complete -c drivebay -n '__drivebay_at upload' -l parallel");
  expect(text).toMatch(/-a rotate-key -d 'give a user a new key; the old one is dead at once'/);
  expect(text).not.toContain('__drives -d');
});

test('commands, nested commands and options are completed', async () => {
  expect(await complete('up')).toEqual(['upload']);
  expect(await complete('user', 'ro')).toEqual(['rotate-key']);
  expect(await complete('create', '--ci')).toEqual(['--cipher']);
  expect(await complete('create', '--tier', '')).toEqual(['disk', 'ssd']);
  expect(await complete('to')).toEqual(['top']);
  expect(await complete('top', '--sort', '')).toEqual(['iops', 'bytes', 'latency']);
});

test('drives are completed by asking the server, files from the directory', async () => {
  expect(await complete('info', 'w')).toEqual(['web']);
  expect(await complete('download', '--parallel', '3', 'd')).toEqual(['db']);
  expect(await complete('download', 'web', 'driv')).toEqual(['drivebay']);
});

test('another shell is a usage error', async () => {
  expect((await runCli(server, ['completion', 'tcsh'])).exitCode).toBe(2);
});

test('what completion asks for leaves out names that a shell would take apart', async () => {
  const first = server.addDrive(Buffer.alloc(1), { name: 'plain' });
  const second = server.addDrive(Buffer.alloc(1), { name: 'a $(reboot)' });
  expect((await runCli(server, ['__drives'])).text).toBe(`plain\n${first}\n${second}\n`);
});
