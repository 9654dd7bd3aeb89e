import { mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { runCli } from '../../test/helpers/cli-run.ts';
import { FAKE_USER, FakeDriveServer } from '../../test/helpers/fake-drive-server.ts';

const USER = 'cccc1111-0000-4000-8000-000000000001';

let server: FakeDriveServer;

beforeEach(async () => {
  server = await new FakeDriveServer().listen();
  server.users.push({ user: USER, name: 'ci', 'quota:bytes': String(1024 ** 4), 'used:drives': '7' });
});

afterEach(() => server[Symbol.asyncDispose]());

function lastBody(): unknown {
  return JSON.parse(server.bodies.findLast((body) => body !== '') ?? 'null');
}

test('user create shows the key and the line that uses it', async () => {
  const result = await runCli(server, [
    'user',
    'create',
    '--name',
    'ci',
    '--admin',
    '--quota-bytes',
    '2T',
    '--quota-drives',
    '9',
  ]);
  expect(lastBody()).toEqual({
    name: 'ci',
    admin: 'true',
    'quota:drives': '9',
    'quota:bytes': String(2 * 1024 ** 4),
  });
  expect(result.text).toContain(`\nDRIVEBAY_AUTH=${FAKE_USER}:shown-once\n`);
});

test('user set finds the user by name, and none removes a quota', async () => {
  await runCli(server, ['user', 'set', 'ci', '--no-admin', '--disable', '--quota-bytes', 'none']);
  expect(server.count(new RegExp(`POST /admin/users/${USER}/set`))).toBe(1);
  expect(lastBody()).toEqual({ admin: 'false', disabled: 'true', 'quota:bytes': '' });
});

test('user list, info and rotate-key give what the server says', async () => {
  expect((await runCli(server, ['user', 'list'])).text).toMatch(
    /^USER .*\ncccc1111-\S+ +- +- +7 +- +- +1024.00 +ci\n$/,
  );
  expect((await runCli(server, ['user', 'list', '--json'])).json()).toMatchObject([{ user: USER }]);
  expect((await runCli(server, ['user', 'info', 'cccc', '--json'])).json()).toMatchObject({ name: 'ci' });
  const rotated = await runCli(server, ['user', 'rotate-key', 'ci', '--json']);
  expect(rotated.json()).toEqual({ user: USER, key: 'new-key' });
});

test('pool list shows room and domain, and below them why a pool is inactive', async () => {
  const result = await runCli(server, ['pool', 'list']);
  expect(result.text).toMatch(/POOL +STATUS .*DOMAIN\ndefault .* 1024.00 .*here\n/);
  expect(result.text.endsWith('\n\nPool away: mount its disk.\n')).toBe(true);
});

test('nodes shows who is up and where', async () => {
  const result = await runCli(server, ['nodes']);
  expect(result.text).toMatch(/NODE +HOST +ADDRESS +STATE .*\nn1 +vm1 +vm1:8600 +gone /);
  expect((await runCli(server, ['nodes', '--json'])).json()).toMatchObject([{ node: 'n1' }]);
});

test('key export fills holes unless told to keep them', async () => {
  const driveId = server.addDrive(Buffer.alloc(1), { name: 'web' });
  const result = await runCli(server, ['key', 'export', 'web']);
  expect(result.text).toBe('open sesame\n');
  expect(lastBody()).toEqual({ fill: 'true' });
  await runCli(server, ['key', 'export', driveId, '--keep-holes', '--json']);
  expect(lastBody()).toEqual({ fill: 'false' });
});

test('key export --output writes the passphrase alone, for its owner alone', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'drivebay-key-'));
  const path = join(directory, 'web.key');
  const driveId = server.addDrive(Buffer.alloc(1));
  expect((await runCli(server, ['key', 'export', driveId, '--output', path])).text).toBe('');
  expect(await readFile(path, 'utf8')).toBe('open sesame');
  expect((await stat(path)).mode & 0o777).toBe(0o600);
  const again = await runCli(server, ['key', 'export', driveId, '--output', path]);
  expect(again.stderr).toContain('it exists already');
  await rm(directory, { recursive: true });
});

test('key rotate prints what was done', async () => {
  expect((await runCli(server, ['key', 'rotate'])).text).toBe('drives  3\n');
});
