import { Writable } from 'node:stream';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { runCli } from '../../test/helpers/cli-run.ts';
import type { CliOptions, CliResult } from '../../test/helpers/cli-run.ts';
import { FakeDriveServer } from '../../test/helpers/fake-drive-server.ts';

const WEB = 'aaaa1111-0000-4000-8000-000000000001';
const DB = 'bbbb2222-0000-4000-8000-000000000002';
const MIB = 2 ** 20;

let server: FakeDriveServer;

beforeEach(async () => {
  server = await new FakeDriveServer().listen();
});

afterEach(() => server[Symbol.asyncDispose]());

/** What the server has counted; a figure is that of reads, unless its name says something else. */
function counted(drive: string, figures: Record<string, number | string> = {}): Record<string, string> {
  const nothing = { requests: 0, bytes: 0, us: 0 };
  const kinds = ['read', 'write', 'flush'].flatMap((kind) =>
    Object.entries(nothing).map(([name, none]) => [`${kind}:${name}`, none] as const),
  );
  const all = {
    drive,
    name: drive === WEB ? 'web' : 'db',
    connections: 1,
    ...Object.fromEntries(kinds),
    ...figures,
  };
  return Object.fromEntries(Object.entries(all).map(([name, value]) => [name, String(value)]));
}

/** Runs `top` with a clock that only its sleeping moves; each sleep then ends with the next of these looks. */
async function top(
  args: readonly string[],
  looks: readonly Record<string, string>[][],
  options: CliOptions = {},
): Promise<CliResult> {
  let nowMs = 5000;
  const left = [...looks];
  server.activity = left.shift() ?? [];
  return await runCli(server, ['top', ...args], {
    ...options,
    overrides: {
      nowMs: () => nowMs,
      sleep: (delayMs) => {
        nowMs += delayMs;
        server.activity = left.shift() ?? server.activity;
        return Promise.resolve();
      },
      ...options.overrides,
    },
  });
}

const BEFORE = [counted(WEB), counted(DB, { 'read:requests': 7 })];
const AFTER = [
  counted(WEB, {
    connections: 2,
    'read:requests': 400,
    'read:bytes': 100 * MIB,
    'read:us': 100_000,
    'flush:requests': 2,
    'flush:us': 31_000,
  }),
  counted(DB, { 'read:requests': 7, 'write:requests': 1, 'write:bytes': 4096, 'write:us': 123_456 }),
];

describe('a table', () => {
  test('shows rates over the interval, after a line of sums', async () => {
    const { text, exitCode, stderr } = await top(['--count', '1'], [BEFORE, AFTER]);
    expect([exitCode, stderr]).toEqual([0, '']);
    expect(text.split('\n')).toEqual([
      `${server.url}  2 drives, 3 connections  read 200/s 50.0 MiB/s  write 0.50/s <0.01 MiB/s  flush 1.00/s`,
      'DRIVE     NAME  CONN  READ/s  MiB/s     ms  WRITE/s  MiB/s     ms  FLUSH/s     ms',
      'aaaa1111  web      2     200   50.0   0.25        0      0      -     1.00   15.5',
      'bbbb2222  db       1       0      0      -     0.50  <0.01    123        0      -',
      '',
    ]);
    expect(server.requests.map(({ method, path }) => `${method} ${path}`)).toEqual([
      'GET /drives/activity',
      'GET /drives/activity',
    ]);
  });

  test('follows the one before, each with the rates of its own interval', async () => {
    const looks = [[], [counted(WEB, { 'read:requests': 10 })], [counted(WEB, { 'read:requests': 11 })]];
    const { text } = await top(['--count', '2', '--interval', '0.5'], looks);
    expect(text.match(/READ/g)).toHaveLength(2);
    expect(text.match(/^aaaa1111 +web +1 +\S+/gm)?.map((line) => line.split(/ +/)[3])).toEqual([
      '20.0',
      '2.00',
    ]);
    expect(text).toMatch(/\n\nhttp:/);
  });

  test.each([
    ['iops', ['aaaa1111', 'bbbb2222']],
    ['bytes', ['aaaa1111', 'bbbb2222']],
    ['latency', ['bbbb2222', 'aaaa1111']],
  ])('sorted by %s has the most of that first', async (order, drives) => {
    const { text } = await top(['--count', '1', '--sort', order], [BEFORE, AFTER]);
    expect(text.match(/^(aaaa|bbbb)\S*/gm)).toEqual(drives);
  });

  test('begins anew, without negative numbers, when the server was started again', async () => {
    const restarted = [counted(WEB, { 'read:requests': 4, 'read:us': 4000 })];
    const { text } = await top(['--count', '1'], [AFTER, restarted]);
    expect(text).toMatch(/^aaaa1111 +web +1 +2\.00 +0 +1\.00 +0 +0 +- +0 +-$/m);
    expect(text).not.toMatch(/-[0-9]/);
  });

  test('shows as much of the UUIDs as tells them apart, and names without control characters, clipped', async () => {
    const twin = `${WEB.slice(0, -1)}9`;
    const looks = [[], [counted(WEB, { name: 'x\u001B[2J' }), counted(twin, { name: 'n'.repeat(30) })]];
    const { text } = await top(['--count', '1'], looks);
    expect(text).toContain(`\n${WEB}  x?[2J `);
    expect(text).toContain(`\n${twin}  ${'n'.repeat(23)}…  `);
  });

  test("with --all is of every user's drives, with their users", async () => {
    const user = '99999999-0000-4000-8000-000000000009';
    const { text } = await top(['--all', '--count', '1'], [[], [counted(WEB, { user })]]);
    expect(text).toContain('  1 drive, 1 connection  ');
    expect(text).toMatch(/FLUSH\/s +ms +USER\naaaa1111 .* 99999999-0000-4000-8000-000000000009\n$/);
    expect(server.requests[0]?.path).toBe('/admin/drives/activity');
  });
});

test('--json prints an array of rates a line', async () => {
  const { text } = await top(['--json', '--count', '2'], [BEFORE, AFTER]);
  const lines = text.trimEnd().split('\n');
  expect(lines.map((line) => JSON.parse(line) as unknown)).toEqual([
    [
      {
        drive: WEB,
        name: 'web',
        connections: 2,
        read: { iops: 200, bytesPerSecond: 50 * MIB, ms: 0.25 },
        write: { iops: 0, bytesPerSecond: 0, ms: null },
        flush: { iops: 1, bytesPerSecond: 0, ms: 15.5 },
      },
      {
        drive: DB,
        name: 'db',
        connections: 1,
        read: { iops: 0, bytesPerSecond: 0, ms: null },
        write: { iops: 0.5, bytesPerSecond: 2048, ms: 123.456 },
        flush: { iops: 0, bytesPerSecond: 0, ms: null },
      },
    ],
    [expect.objectContaining({ drive: WEB }), expect.objectContaining({ drive: DB })],
  ]);
});

describe('on a terminal', () => {
  const visible = (text: string): string => text.replaceAll('\u001B', '␛');
  const terminal = (rows: number, columns: number) => ({
    overrides: { terminal: () => ({ rows, columns }) },
  });

  test('each table takes the place of the one before, and the cursor is there again at the end', async () => {
    const { text } = await top(['--count', '2'], [BEFORE, AFTER], terminal(24, 100));
    const [before, ...frames] = visible(text).split('␛[H␛[J');
    expect([before, frames.length]).toEqual(['␛[?25l␛[?7l', 2]);
    expect(frames[0]).toMatch(/^http:[^\n]*\r\nDRIVE[^\n]*\r\naaaa1111[^\n]*\r\nbbbb2222[^\n]*$/);
    expect(frames[1]).toMatch(/\r\n␛\[\?7h␛\[\?25h$/);
  });

  test('a table is no longer and no wider than it', async () => {
    const many = Array.from({ length: 50 }, (_, index) => counted(`${10_000_000 + index}-`));
    const { text } = await top(['--count', '1'], [many, many], terminal(10, 40));
    const lines = (text.split('\u001B[J')[1] ?? '').split('\r\n').slice(0, -1);
    expect(lines).toHaveLength(10);
    expect(Math.max(...lines.map((line) => line.length))).toBe(40);
    expect((await top(['--count', '1'], [many, many], terminal(10, 200))).text).toContain(
      '50 drives (8 shown)',
    );
  });

  test('Ctrl-C ends it in order, and brings the cursor back', async () => {
    const interrupt = new AbortController();
    let sleeps = 0;
    const sleep = (): Promise<void> => {
      if ((sleeps += 1) === 2) interrupt.abort();
      return Promise.resolve();
    };
    const { overrides } = terminal(24, 80);
    const options = { interrupt: interrupt.signal, overrides: { ...overrides, sleep } };
    const { text, exitCode, stderr } = await top([], [BEFORE], options);
    expect([exitCode, stderr]).toEqual([0, '']);
    expect(visible(text)).toMatch(/^␛\[\?25l[^]*␛\[\?25h$/);
  });

  test('a server that is away is told of in place of the sums', async () => {
    server.intervene = () => (server.requests.length === 3 ? { cut: 'before' } : undefined);
    const { text, stderr } = await top(['--count', '2'], [BEFORE, AFTER], terminal(24, 60));
    expect(visible(text)).toMatch(/␛7␛\[H␛\[2Kcannot reach http:[^\n␛]{42}␛8/);
    expect([stderr, text.match(/DRIVE/g)?.length]).toEqual(['', 2]);
  });
});

describe('a server that cannot be asked', () => {
  const away = { status: 503, headers: { 'x-elastic-error': 'system' }, body: 'It is shutting down.' };

  test('for a moment is told of once, and then gives rates over all the time between', async () => {
    server.intervene = () => ([2, 3].includes(server.requests.length) ? away : undefined);
    const looks = [[], [], [], [counted(WEB, { 'read:requests': 60 })]];
    const { text, stderr, exitCode } = await top(['--count', '1'], looks);
    expect([stderr, exitCode]).toEqual(['drivebay: It is shutting down; trying again\n', 0]);
    expect(text).toMatch(/^aaaa1111 +web +1 +10\.0 /m);
  });

  test('again and again is told of again and again', async () => {
    server.intervene = () => ([2, 4].includes(server.requests.length) ? { cut: 'before' } : undefined);
    const { stderr } = await top(['--count', '2'], [BEFORE]);
    expect(stderr.match(/cannot reach .*; trying again\n/g)).toHaveLength(2);
  });

  test('at the first look is a failure', async () => {
    server.intervene = () => away;
    const { stderr, exitCode } = await top([], []);
    expect([stderr, exitCode]).toEqual(['drivebay: It is shutting down\n', 1]);
  });

  test('because it refuses is a failure, also later', async () => {
    server.intervene = () =>
      server.requests.length < 2
        ? undefined
        : { status: 401, headers: { 'x-elastic-error': 'auth' }, body: 'No.' };
    const { stderr, exitCode } = await top([], [BEFORE]);
    expect([stderr.startsWith('drivebay: No; '), exitCode]).toEqual([true, 1]);
  });

  test('and is interrupted meanwhile is no failure', async () => {
    const interrupt = new AbortController();
    server.intervene = () => {
      if (server.requests.length === 2) interrupt.abort();
      return undefined;
    };
    const { stderr, exitCode } = await top([], [BEFORE], { interrupt: interrupt.signal });
    expect([stderr, exitCode]).toEqual(['', 0]);
  });
});

test('it ends when nobody reads what it prints any more', async () => {
  const stdout = new Writable({ write: (_chunk, _encoding, done) => done(new Error('EPIPE')) });
  stdout.on('error', () => undefined);
  const sleep = () => new Promise<void>((resolve) => void setImmediate(resolve));
  expect((await top([], [BEFORE], { overrides: { stdout, sleep } })).exitCode).toBe(0);
});

test.each([
  ['--interval', '0'],
  ['--interval', '-1'],
  ['--interval', '1e3'],
  ['--count', '0'],
  ['--sort', 'name'],
])('%s %s is a usage error', async (...args) => {
  expect((await runCli(server, ['top', ...args])).exitCode).toBe(2);
});

test('help has examples', async () => {
  expect((await runCli(server, ['help', 'top'])).text).toContain('drivebay top --all --sort latency');
});
