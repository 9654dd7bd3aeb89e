import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { launchServer } from '../helpers/server-launch.ts';

// What an operator reads when a setting is one that the server cannot start with.

const other = createServer();
let directory = '';
let file = '';
let place = '';

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'drivebay-start-'));
  file = join(directory, 'file');
  await writeFile(file, 'no PEM', { mode: 0o600 });
  await once(other.listen(0, '127.0.0.1'), 'listening');
  place = `127.0.0.1:${(other.address() as AddressInfo).port}`;
});
afterAll(async () => {
  other.close();
  await rm(directory, { recursive: true });
});

interface Mistake {
  readonly what: string;
  readonly args?: () => readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly dataDirectory?: () => string;
  readonly told: () => string;
}

const LONG = `/tmp/${'n'.repeat(120)}`;

const MISTAKES: readonly Mistake[] = [
  {
    what: 'a port for NBD that is in use',
    args: () => ['--nbd-listen', place],
    told: () => `${place} is in use by another program: choose another with --nbd-listen.`,
  },
  {
    what: 'a port for HTTP that is in use',
    args: () => ['--listen', place],
    told: () => `${place} is in use by another program: choose another with --listen.`,
  },
  {
    what: 'a Unix socket in a directory that does not exist',
    args: () => ['--nbd-socket', join(directory, 'none', 'nbd.sock')],
    told: () =>
      `${join(directory, 'none')} does not exist: make it, or choose another path with --nbd-socket.`,
  },
  {
    what: 'a path that is too long for a Unix socket',
    args: () => ['--nbd-socket', LONG],
    told: () => `at most 107 bytes, and ${LONG} has 125: choose another with --nbd-socket.`,
  },
  {
    what: 'a data directory that the file system cannot have',
    dataDirectory: () => '/proc/drivebay',
    told: () => 'The data directory /proc/drivebay cannot be made: ENOENT',
  },
  {
    what: 'a data directory that is a file',
    dataDirectory: () => file,
    told: () => `The data directory ${file} is no directory.`,
  },
  {
    what: 'a certificate that is none',
    args: () => ['--tls-cert', file, '--tls-key', file],
    told: () => `The TLS certificate ${file} with the key ${file} cannot be used: `,
  },
  {
    what: 'a master key in a directory that does not exist',
    args: () => ['--master-key-file', join(directory, 'none', 'key')],
    told: () => `The master key ${join(directory, 'none', 'key')} cannot be written: ENOENT`,
  },
  {
    what: 'a master key in the environment that is none',
    env: { DRIVEBAY_MASTER_KEY: 'none' },
    told: () => 'DRIVEBAY_MASTER_KEY: Master key 1 is not 64 hex digits.',
  },
];

test.each(MISTAKES)('$what ends the start with a sentence', async ({ args, env, dataDirectory, told }) => {
  const server = await launchServer({
    dataDirectory: dataDirectory?.() ?? (await mkdtemp(join(directory, 'data-'))),
    args: args?.(),
    env,
  });
  // Also when the test runs out of time, which does not end this function.
  onTestFinished(() => server.kill('SIGKILL'));
  expect(await server.exited).toBe(1);
  const lines = server
    .output()
    .split('\n')
    .filter((line) => line.startsWith('drivebay: '));
  expect(lines).toEqual([expect.stringContaining(told())]);
});
