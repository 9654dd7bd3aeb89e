import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { runCli } from '../../test/helpers/cli-run.ts';
import { FAKE_AUTH, FakeDriveServer } from '../../test/helpers/fake-drive-server.ts';

let server: FakeDriveServer;
let directory: string;

beforeEach(async () => {
  server = await new FakeDriveServer().listen();
  directory = await mkdtemp(join(tmpdir(), 'drivebay-cli-'));
});

afterEach(async () => {
  await server[Symbol.asyncDispose]();
  await rm(directory, { recursive: true });
});

test.each([
  [['list', '--no-such'], /unknown option '--no-such'/],
  [['lst'], /unknown command 'lst'.*Did you mean list/],
  [['create', '--size', '1.5G'], /A size is bytes, or a whole number/],
  [['create', '--size', '9007199254740992'], /too large: the largest size is 9007199254740991/],
  [['user', 'create', '--quota-drives', '1000000000'], /too large: the largest is 999999999/],
  [['create'], /give --size/],
  [['create', '--size', '1', '--tier', 'tape'], /Allowed choices are disk, ssd/],
  [['create', '--size', '1', '--user-pair', 'x'], /'x' is not of the form key=value/],
  [['set', 'web'], /nothing to change/],
  [['upload', '-'], /give a drive, or --create/],
  [['upload', '-', 'web', '--create'], /not both/],
  [['upload', '-', '--create'], /give --size/],
  [['upload', '-', 'web', '--claim-type', 'shared'], /--claim-type is for --create/],
  [['upload', '/no/such/file', 'web'], /cannot read \/no\/such\/file: it does not exist/],
  [['upload', '/no/such/file.gz', 'web'], /cannot read \/no\/such\/file.gz: it does not exist/],
  [['upload', '/', 'web'], /it is a directory/],
  [['upload', '/dev/null', 'web'], /neither a file nor a block device/],
  [['download', 'web', '-', '--parallel', '0'], /a whole number from 1 to 64/],
  [['image', 'a', 'b', '--gzip', '--zstd'], /--gzip and --zstd exclude each other/],
  [['list', '--url', 'ftp://x'], /'ftp:\/\/x' is not a URL/],
  [['list', '--auth', 'nocolon'], /not of the form USER:KEY/],
  [['list', '--ca', '/no/ca.pem'], /cannot read \/no\/ca.pem: it does not exist/],
])('%j is a usage error in one line, and asks the server for nothing', async (args, message) => {
  const result = await runCli(server, args);
  expect(result.stderr).toMatch(message);
  expect(result.stderr).toMatch(/^drivebay: [^\n]*\n$/);
  expect(result.text).toBe('');
  expect(result.exitCode).toBe(2);
  expect(server.requests).toEqual([]);
});

test('with --json an error is one line of JSON', async () => {
  const usage = await runCli(server, ['create', '--json']);
  expect(JSON.parse(usage.stderr)).toMatchObject({ error: 'usage' });
  const missing = await runCli(server, ['info', '00000000-0000-4000-8000-000000000000', '--json']);
  expect(JSON.parse(missing.stderr)).toEqual({
    error: 'missing',
    message: 'Drive 00000000-0000-4000-8000-000000000000 could not be found',
  });
  expect(missing.exitCode).toBe(1);
});

test('wrong credentials say where credentials come from', async () => {
  const result = await runCli(server, ['list'], { env: { DRIVEBAY_AUTH: 'a:b' } });
  expect(result.exitCode).toBe(1);
  expect(result.stderr).toBe(
    'drivebay: Bad key; credentials come from --auth, DRIVEBAY_AUTH or EHAUTH (USER:KEY), else from data/admin-credentials\n',
  );
});

test('without credentials those of the server on this machine are taken', async () => {
  const lines = `# The first user.\nDRIVEBAY_AUTH=${FAKE_AUTH}\n`;
  await writeFile(join(directory, 'admin-credentials'), lines);
  const env = { DRIVEBAY_AUTH: undefined, DRIVEBAY_DATA_DIR: directory };
  expect((await runCli(server, ['list'], { env })).exitCode).toBe(0);
});

test("the vendor's names for URL and credentials work", async () => {
  const env = {
    DRIVEBAY_URL: undefined,
    DRIVEBAY_AUTH: undefined,
    EHURI: `${server.url}/`,
    EHAUTH: FAKE_AUTH,
  };
  expect((await runCli(server, ['list'], { env })).exitCode).toBe(0);
});

test('flags win over the environment, and credentials in the URL work', async () => {
  const url = server.url.replace('http://', `http://${FAKE_AUTH}@`);
  const env = { DRIVEBAY_URL: 'http://127.0.0.1:1', DRIVEBAY_AUTH: undefined };
  expect((await runCli(server, ['list', '--url', url], { env })).exitCode).toBe(0);
  const flags = ['list', '--url', server.url, '--auth', FAKE_AUTH];
  expect((await runCli(server, flags, { env: { ...env, DRIVEBAY_AUTH: 'a:b' } })).exitCode).toBe(0);
});

test('a server that is not there fails at once and says what to check', async () => {
  let sleeps = 0;
  const sleep = async (): Promise<void> => void sleeps++;
  const env = { DRIVEBAY_URL: 'http://127.0.0.1:1' };
  const result = await runCli(server, ['list'], { env, overrides: { sleep } });
  expect(result.exitCode).toBe(1);
  expect(result.stderr).toMatch(/^drivebay: cannot reach http:\/\/127.0.0.1:1: .*is the server running/);
  expect(sleeps).toBe(0);
});

test('a server without TLS behind an https URL is told in words', async () => {
  const env = { DRIVEBAY_URL: server.url.replace('http:', 'https:') };
  const result = await runCli(server, ['list'], { env });
  expect(result.exitCode).toBe(1);
  expect(result.stderr).toMatch(
    /^drivebay: cannot reach https:\S+: it does not speak TLS there; [^:]*http:\/\//,
  );
});

test('503 is tried again after the time that the server names', async () => {
  const sleeps: number[] = [];
  const answers = [{ status: 503, headers: { 'retry-after': '7' } }, { status: 503 }];
  server.intervene = () => answers.shift();
  const sleep = async (delayMs: number): Promise<void> => void sleeps.push(delayMs);
  const result = await runCli(server, ['list'], { overrides: { sleep } });
  expect(result.exitCode).toBe(0);
  expect(sleeps).toEqual([7000, 150]);
});

test('503 without end is given up after a bounded number of tries', async () => {
  server.intervene = () => ({
    status: 503,
    headers: { 'x-elastic-error': 'system' },
    body: 'The pool is away.',
  });
  const result = await runCli(server, ['list']);
  expect(result.exitCode).toBe(1);
  expect(result.stderr).toBe('drivebay: The pool is away\n');
  expect(server.requests).toHaveLength(9);
});

test.each([502, 504])('a load balancer that has lost its node (%i) is asked again', async (status) => {
  const answers = [{ status }, { status }];
  server.intervene = () => answers.shift();
  expect((await runCli(server, ['list'])).exitCode).toBe(0);
  expect(answers).toEqual([]);
});

test.each([{ cut: 'after' }, { status: 502 }] as const)(
  'a request that must not be done twice is not sent again on a broken connection (%j)',
  async (broken) => {
    server.intervene = () => broken;
    const driveId = server.addDrive(Buffer.alloc(1));
    const result = await runCli(server, ['destroy', driveId]);
    expect(result.exitCode).toBe(1);
    expect(server.requests).toHaveLength(1);
  },
);

test('an answer that is not of the API is told as such', async () => {
  server.intervene = () => ({ status: 200, body: '<html>hello</html>' });
  expect((await runCli(server, ['list'])).stderr).toContain('is this the URL of a Drive API?');
  server.intervene = () => ({ status: 502, body: '<html>Bad gateway</html>' });
  expect((await runCli(server, ['list'])).stderr).toBe('drivebay: the server answered with status 502\n');
});

test('every command has help with an example, and help is no error', async () => {
  const help = await runCli(server, ['--help']);
  expect(help.exitCode).toBe(0);
  const commands = ['list', 'info', 'create', 'set', 'destroy', 'image', 'upload', 'download', 'completion'];
  const nested = [
    'user create',
    'user list',
    'user info',
    'user set',
    'user rotate-key',
    'pool list',
    'nodes',
    'key export',
    'key rotate',
  ];
  for (const command of [...commands, ...nested]) {
    expect(help.text).toContain(command.split(' ')[0]);
    const result = await runCli(server, [...command.split(' '), '--help']);
    expect(result.exitCode).toBe(0);
    expect(result.text).toMatch(/Examples:\n  .*drivebay /);
  }
});

test('without a command the help is shown as a usage error', async () => {
  const result = await runCli(server, []);
  expect(result.exitCode).toBe(2);
  expect(result.stderr).toContain('Usage: drivebay');
});

test('version prints the version, also as JSON and as an option', async () => {
  expect((await runCli(server, ['version'])).text).toBe('1.2.3\n');
  expect((await runCli(server, ['version', '--json'])).json()).toEqual({ version: '1.2.3' });
  const option = await runCli(server, ['--version']);
  expect([option.text, option.exitCode]).toEqual(['1.2.3\n', 0]);
});

test('a file that cannot be written is told by its name', async () => {
  await mkdir(join(directory, 'sub'));
  const driveId = server.addDrive(Buffer.alloc(10));
  const result = await runCli(server, ['download', driveId, join(directory, 'none', 'x.img')]);
  expect(result.exitCode).toBe(1);
  expect(result.stderr).toMatch(/cannot write .*none\/x.img.*does not exist/);
});
