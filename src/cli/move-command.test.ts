import { afterEach, beforeEach, expect, test } from 'vitest';
import { runCli } from '../../test/helpers/cli-run.ts';
import { FakeDriveServer } from '../../test/helpers/fake-drive-server.ts';

const DRIVE = 'aaaa1111-0000-4000-8000-000000000001';
let server: FakeDriveServer;

beforeEach(async () => {
  server = await new FakeDriveServer().listen();
  server.addDrive(Buffer.alloc(1), { drive: DRIVE, name: 'web', pool: 'one' });
});

afterEach(() => server[Symbol.asyncDispose]());

/** Has the drive's info say one thing after the other, and stay with the last. */
function say(...states: Record<string, string>[]): void {
  let asked = -1;
  server.intervene = ({ path }) => {
    if (!path.endsWith(`/${DRIVE}/info`)) return undefined;
    asked += 1;
    const info = { drive: DRIVE, ...(states[asked] ?? states.at(-1)) };
    return { status: 200, headers: { 'content-type': 'application/json' }, body: JSON.stringify(info) };
  };
}

const moving = (progress: string) => ({ pool: 'one', 'moving:to': 'two', 'moving:progress': progress });

test('move asks for the pool, and --wait polls until the drive is there', async () => {
  say(moving('0%'), moving('41%'), { pool: 'two' });
  const result = await runCli(server, ['move', 'web', '--pool', 'two', '--wait']);
  expect(result.exitCode).toBe(0);
  expect(result.stderr).toMatch(new RegExp(`^moved ${DRIVE} to two in `));
  expect(server.count(new RegExp(`^POST /admin/drives/${DRIVE}/move$`))).toBe(1);
  expect(server.bodies).toContain('{"pool":"two"}');
  expect(server.count(/\/info$/)).toBe(4);
});

test('--tier is what the drive is of afterwards', async () => {
  await runCli(server, ['move', DRIVE, '--pool', 'two', '--tier', 'ssd']);
  expect(server.bodies).toContain('{"pool":"two","tier":"ssd"}');
  expect((await runCli(server, ['move', DRIVE, '--pool', 'two', '--tier', 'tape'])).exitCode).toBe(2);
});

test('without --wait the server goes on by itself', async () => {
  say(moving('0%'));
  const result = await runCli(server, ['move', DRIVE, '--pool', 'two', '--json']);
  expect([result.exitCode, result.stderr]).toEqual([0, '']);
  expect(result.json()).toMatchObject({ drive: DRIVE });
});

test.each([
  [{ pool: 'one', 'moving:error': 'Pool two ran out of room.' }, 'Pool two ran out of room'],
  [{ pool: 'one' }, 'somebody has cancelled it'],
])('a move that ends with the drive elsewhere fails and says why', async (state, reason) => {
  say(moving('3%'), state);
  const result = await runCli(server, ['move', DRIVE, '--pool', 'two', '--wait']);
  expect(result.exitCode).toBe(1);
  expect(result.stderr).toBe(`drivebay: moving ${DRIVE} failed: ${reason}\n`);
});

test('--cancel ends the move, and goes with nothing else', async () => {
  expect((await runCli(server, ['move', 'web', '--cancel'])).exitCode).toBe(0);
  expect(server.count(new RegExp(`^POST /admin/drives/${DRIVE}/move/cancel$`))).toBe(1);
  for (const flags of [['--cancel', '--pool', 'two'], ['--cancel', '--wait'], []]) {
    expect((await runCli(server, ['move', 'web', ...flags])).exitCode).toBe(2);
  }
});

test('list --all shows the pools, and --pool only the drives of one', async () => {
  server.addDrive(Buffer.alloc(1), { name: 'db', pool: 'two', 'moving:progress': '5%' });
  const all = await runCli(server, ['list', '--all']);
  expect(all.text).toMatch(/ POOL +USER\n/);
  expect(all.text).toMatch(/moving \(5%\) +db +two /);
  expect((await runCli(server, ['list', '--all', '--pool', 'one', '--ids'])).text).toBe(`${DRIVE}\n`);
  expect((await runCli(server, ['list', '--pool', 'one'])).exitCode).toBe(2);
});
