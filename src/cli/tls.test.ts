import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { runCli } from '../../test/helpers/cli-run.ts';
import type { CliResult } from '../../test/helpers/cli-run.ts';
import { FakeDriveServer } from '../../test/helpers/fake-drive-server.ts';
import { DRIVE, KEY, OWNER } from '../../test/helpers/fake-service.ts';
import { listeningHarness } from '../../test/helpers/http-harness.ts';
import type { Harness } from '../../test/helpers/http-harness.ts';
import { FIRST_PAIR, SECOND_PAIR } from '../../test/helpers/tls-pairs.ts';

let directory: string;
let harness: Harness & { readonly address: { readonly url: string; readonly port: number } };
let unasked: FakeDriveServer;
const pathOf = (name: string): string => join(directory, name);

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'drivebay-cli-tls-'));
  const files = { 'right.pem': FIRST_PAIR.cert, 'key.pem': FIRST_PAIR.key, 'wrong.pem': SECOND_PAIR.cert };
  for (const [name, text] of Object.entries(files)) await writeFile(pathOf(name), text);
  await writeFile(pathOf('both.pem'), SECOND_PAIR.cert + FIRST_PAIR.cert);
  await writeFile(pathOf('nonsense.pem'), 'no certificate\n');
  harness = await listeningHarness({ tls: { certFile: pathOf('right.pem'), keyFile: pathOf('key.pem') } });
  unasked = await new FakeDriveServer().listen();
});

afterAll(async () => {
  await harness[Symbol.asyncDispose]();
  await unasked[Symbol.asyncDispose]();
  await rm(directory, { recursive: true });
});

async function list(args: readonly string[], env: Record<string, string> = {}): Promise<CliResult> {
  const access = { DRIVEBAY_URL: harness.address.url, DRIVEBAY_AUTH: `${OWNER}:${KEY}` };
  return await runCli(unasked, ['list', '--json', ...args], { env: { ...access, ...env } });
}

describe('a server with a certificate of a private authority', () => {
  test.each([
    ['--ca names it', ['--ca', 'right.pem'], {}],
    ['--ca names a file with others besides', ['--ca', 'both.pem'], {}],
    ['DRIVEBAY_CA names it', [], { DRIVEBAY_CA: 'right.pem' }],
    ['--ca names it and DRIVEBAY_CA another', ['--ca', 'right.pem'], { DRIVEBAY_CA: 'wrong.pem' }],
  ])('is trusted when %s', async (_what, args, env) => {
    const inDirectory = (name: string): string => (name.endsWith('.pem') ? pathOf(name) : name);
    const paths = Object.fromEntries(Object.entries(env).map(([name, file]) => [name, inDirectory(file)]));
    const result = await list(args.map(inDirectory), paths);
    expect([result.exitCode, result.stderr]).toEqual([0, '']);
    expect(result.text).toContain(DRIVE);
  });

  test.each([
    ['nothing names it', []],
    ['another one is named', ['wrong.pem']],
  ])('is not trusted when %s, and the error says what to do', async (_what, files) => {
    const result = await list(files.flatMap((file) => ['--ca', pathOf(file)]));
    expect([result.exitCode, result.text]).toEqual([1, '']);
    const { message } = JSON.parse(result.stderr) as { message: string };
    expect(message).toMatch(/certificate.*--ca/);
    expect(message).toContain(`127.0.0.1:${harness.address.port}`);
  });
});

test('http:// in place of https:// is told, after the usual attempts', async () => {
  const url = `http://127.0.0.1:${harness.address.port}`;
  const { exitCode, stderr } = await list([], { DRIVEBAY_URL: url });
  const sentence = `cannot reach ${url}: it closed the connection without an answer; does it speak TLS, and should the URL begin with https://?`;
  expect([exitCode, JSON.parse(stderr)]).toEqual([1, { error: 'unreachable', message: sentence }]);
});

test('a server that has answered before, and then cuts the connection, is not taken for one with TLS', async () => {
  await using server = await new FakeDriveServer().listen();
  const driveId = server.addDrive(Buffer.alloc(5000));
  server.intervene = ({ path }) => (path.includes('/map') ? { cut: 'before' } : undefined);
  const { stderr } = await runCli(server, ['upload', pathOf('key.pem'), driveId]);
  expect(stderr).toMatch(/^drivebay: cannot reach [^ ]+: socket hang up/);
});

test('a file without a certificate is a usage error', async () => {
  const result = await list(['--ca', pathOf('nonsense.pem')]);
  expect(result.exitCode).toBe(2);
  expect(result.stderr).toMatch(/nonsense\.pem has no certificate/);
});
