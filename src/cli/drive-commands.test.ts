import { afterEach, beforeEach, expect, test } from 'vitest';
import { runCli } from '../../test/helpers/cli-run.ts';
import { FakeDriveServer } from '../../test/helpers/fake-drive-server.ts';

const GIB = 1024 ** 3;
const FIRST = 'aaaa1111-0000-4000-8000-000000000001';
const SECOND = 'aaaa2222-0000-4000-8000-000000000002';

let server: FakeDriveServer;

beforeEach(async () => {
  server = await new FakeDriveServer().listen();
  server.addDrive(Buffer.alloc(0), { drive: FIRST, name: 'web' });
  server.addDrive(Buffer.alloc(0), { drive: SECOND, name: 'db' });
  Object.assign(server.drives.get(FIRST)?.info ?? {}, { size: 10 * GIB });
});

afterEach(() => server[Symbol.asyncDispose]());

test('list aligns a table with sizes in GiB, and gives exact ones in JSON', async () => {
  const table = await runCli(server, ['list']);
  expect(table.text.split('\n').map((line) => line.trimEnd())).toEqual([
    'DRIVE                                   GiB  TIER  CIPHER  STATE   NAME',
    `${FIRST}  10.00  disk  none    active  web`,
    `${SECOND}   0.00  disk  none    active  db`,
    '',
  ]);
  const json = await runCli(server, ['list', '--json']);
  expect(json.json()).toMatchObject([{ drive: FIRST, size: 10 * GIB, name: 'web' }, { drive: SECOND }]);
  expect((await runCli(server, ['list', '--ids'])).text).toBe(`${FIRST}\n${SECOND}\n`);
});

test('list passes the tag on, and --standard and --all ask for other drives', async () => {
  await runCli(server, ['list', '--tag', 'a b']);
  await runCli(server, ['list', '--standard']);
  await runCli(server, ['list', '--all']);
  expect(server.requests.map(({ path }) => path)).toEqual([
    '/drives/info?tag=a%20b',
    '/drives/info/standard',
    '/admin/drives/info',
  ]);
});

test('control characters in names do not reach the terminal', async () => {
  Object.assign(server.drives.get(SECOND)?.info ?? {}, { name: 'x\u001B[2J\ny' });
  expect((await runCli(server, ['list'])).text).toContain('x?[2J\\ny');
});

test('what turns the direction of text does not reach the terminal', async () => {
  Object.assign(server.drives.get(SECOND)?.info ?? {}, { name: 'x\u202Ey\u2066z' });
  expect((await runCli(server, ['list'])).text).toContain('x?y?z');
});

test.each([
  ['its name', 'web'],
  ['the start of its UUID', 'aaaa1'],
  ['its UUID', FIRST],
  ['its UUID in capitals', FIRST.toUpperCase()],
])('a drive is found by %s', async (_way, text) => {
  const result = await runCli(server, ['info', text, '--json']);
  expect(result.json()).toMatchObject({ drive: FIRST });
});

test('a UUID is used as it is, without looking it up', async () => {
  await runCli(server, ['info', FIRST]);
  expect(server.requests.map(({ path }) => path)).toEqual([`/drives/${FIRST}/info`]);
});

test('what may mean several drives is a usage error that names them', async () => {
  const result = await runCli(server, ['info', 'aaaa']);
  expect(result.exitCode).toBe(2);
  expect(result.stderr).toBe(`drivebay: 'aaaa' is ambiguous: it may be ${FIRST} (web), ${SECOND} (db)\n`);
});

test.each(['aaa', 'nothing'])('%s names no drive: a prefix has at least four characters', async (text) => {
  const result = await runCli(server, ['info', text]);
  expect(result.exitCode).toBe(1);
  expect(result.stderr).toBe(`drivebay: drive '${text}' could not be found\n`);
});

test('a name wins over the start of a UUID', async () => {
  Object.assign(server.drives.get(SECOND)?.info ?? {}, { name: 'aaaa1' });
  expect((await runCli(server, ['info', 'aaaa1', '--json'])).json()).toMatchObject({ drive: SECOND });
});

test('info shows pairs for people, and of all drives when none is named', async () => {
  const result = await runCli(server, ['info', 'web', '--full']);
  expect(result.text).toContain(`drive              ${FIRST}\n`);
  expect(result.text).toContain('size               10737418240 (10.00 GiB)\n');
  expect((await runCli(server, ['info'])).text.split('\n\n')).toHaveLength(2);
});

test('create sends every option and prints the UUID', async () => {
  const args = ['create', '--size', '10G', '--name', 'n', '--cipher', 'none', '--tier', 'ssd', '--tag', 'a'];
  args.push(
    '--tag',
    'b',
    '--reader',
    'all',
    '--user-pair',
    'k=v=w',
    '--avoid',
    'web',
    '--claim-type',
    'shared',
  );
  server.intervene = ({ path }) =>
    path === '/drives/create' ? { status: 200, body: `{"drive":"${FIRST}","size":1}` } : undefined;
  const result = await runCli(server, args);
  expect(result.text).toBe(`${FIRST}\n`);
  const request = server.requests.find(({ path }) => path === '/drives/create');
  expect(request?.headers['idempotency-key']).toMatch(/^[0-9a-f-]{36}$/);
});

test('create gives the API its own words', async () => {
  await runCli(server, [
    'create',
    '--size',
    '1k',
    '--tag',
    'a',
    '--tag',
    'b',
    '--reader',
    'all',
    '--avoid',
    'web',
    '--user-pair',
    'k=v=w',
    '--claim-type',
    'shared',
    '--cipher',
    'none',
    '--tier',
    'ssd',
  ]);
  expect(JSON.parse(server.bodies[0] ?? '')).toEqual({
    size: '1024',
    tags: 'a b',
    readers: 'ffffffff-ffff-ffff-ffff-ffffffffffff',
    avoid: FIRST,
    'user:k': 'v=w',
    'claim:type': 'shared',
    'encryption:cipher': 'none',
    tier: 'ssd',
  });
});

test('set changes only what is given, and empties lists and pairs', async () => {
  await runCli(server, ['set', 'web', '--name', 'www', '--clear-tags', '--user-pair', 'owner=']);
  expect(JSON.parse(server.bodies[0] ?? '')).toEqual({ name: 'www', tags: '', 'user:owner': '' });
});

test('set makes a drive smaller only with --shrink', async () => {
  const refused = await runCli(server, ['set', 'web', '--size', '5G']);
  expect(refused.exitCode).toBe(2);
  expect(refused.stderr).toContain('--shrink');
  expect(server.bodies).toEqual([]);
  expect((await runCli(server, ['set', 'web', '--size', '5G', '--shrink'])).exitCode).toBe(0);
  expect((await runCli(server, ['set', 'web', '--size', '20G'])).exitCode).toBe(0);
});

test('destroy takes several drives, and one that is busy does not keep the others', async () => {
  const busy = {
    status: 409,
    headers: { 'x-elastic-error': 'busy' },
    body: '{"message":"Drive is claimed."}',
  };
  server.intervene = ({ path }) => (path === `/drives/${FIRST}/destroy` ? busy : undefined);
  const result = await runCli(server, ['destroy', 'web', 'db', '--json']);
  expect(result.exitCode).toBe(1);
  expect(result.json()).toEqual({ destroyed: [SECOND] });
  expect(JSON.parse(result.stderr)).toEqual({ error: 'busy', message: 'Drive is claimed' });
  expect([...server.drives.keys()]).toEqual([FIRST]);
});

test('destroy looks all names up before the first drive is destroyed', async () => {
  expect((await runCli(server, ['destroy', 'web', 'typo'])).exitCode).toBe(1);
  expect(server.drives.size).toBe(2);
});

test('image asks for the conversion, and --wait polls until it is done', async () => {
  const states = ['queued', '37%', null];
  server.intervene = ({ path }) => {
    if (!path.endsWith('/info/full')) return undefined;
    const imaging = states.shift();
    return { status: 200, body: JSON.stringify({ drive: SECOND, ...(imaging === null ? {} : { imaging }) }) };
  };
  const result = await runCli(server, ['image', 'web', 'db', '--gunzip', '--wait']);
  expect(result.exitCode).toBe(0);
  expect(result.stderr).toMatch(/^imaged aaaa1111-.* onto aaaa2222-.* in /);
  expect(server.count(new RegExp(`^POST /drives/${SECOND}/image/${FIRST}/gunzip$`))).toBe(1);
  expect(states).toEqual([]);
});

test('imaging that failed is a failure with its reason', async () => {
  Object.assign(server.drives.get(SECOND)?.info ?? {}, { 'imaging:error': 'The source is not gzip.' });
  const result = await runCli(server, ['image', 'web', 'db', '--gunzip', '--wait']);
  expect(result.exitCode).toBe(1);
  expect(result.stderr).toBe(`drivebay: imaging onto ${SECOND} failed: The source is not gzip\n`);
});

test('the source of an image may be a drive that all users may read, by its name', async () => {
  const standard = 'bbbb0000-0000-4000-8000-000000000009';
  server.standardDrives.push({ info: { drive: standard, name: 'debian' }, bytes: Buffer.alloc(0) });
  await runCli(server, ['image', 'debian', 'db']);
  expect(server.count(new RegExp(`image/${standard}$`))).toBe(1);
});
