import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Answer } from '../helpers/drive-client.ts';
import { ADMIN_AUTH, ADMIN_USER, startServer } from '../helpers/server-process.ts';
import type { ServerProcess } from '../helpers/server-process.ts';

const JSON_TYPE = { 'content-type': 'application/json' };
const WANT_JSON = { accept: 'application/json' };

let server: ServerProcess;

beforeAll(async () => {
  server = await startServer();
});

afterAll(async () => {
  await server[Symbol.asyncDispose]();
});

/** A user with nothing yet. */
async function newUser() {
  const { user, key } = (await server.json('/admin/users/create', '')) as Record<string, string>;
  return { ...server.as(`${user}:${key}`), user: String(user) };
}

/** The text form, read by the letter: pairs of each object, or null when a line is none. */
function textObjects(text: string): Record<string, string>[] {
  expect(text.endsWith('\n') && !text.endsWith('\n\n') && !text.startsWith('\n')).toBe(true);
  expect(text).not.toMatch(/\r|\n\n\n/);
  return text
    .slice(0, -1)
    .split('\n\n')
    .map((part) =>
      Object.fromEntries(part.split('\n').map((line) => /^(\S+) (.+)$/.exec(line)?.slice(1) ?? [])),
    );
}

describe('both formats by both methods', () => {
  test('one object: pairs in text, an object in JSON, the same facts', async () => {
    const drive = await server.create('size 1M\nname the name\ntags a b\nuser:x y z');
    for (const path of [`/drives/${drive}/info`, `/drives/${drive}/info/full`]) {
      for (const method of ['GET', 'POST']) {
        const text = await server.send({ method, path });
        expect(text.headers).toMatchObject({
          'content-type': expect.stringMatching(/^text\/plain/),
          'x-elastic-output': 'properties',
        });
        const [object] = textObjects(text.text);
        const json = await server.send({ method, path, headers: WANT_JSON });
        expect(json.headers['content-type']).toMatch(/^application\/json/);
        const parsed = JSON.parse(json.text) as Record<string, unknown>;
        expect(parsed['size']).toBe(1048576);
        expect(parsed).toEqual({ ...object, size: 1048576 });
        expect(object).toMatchObject({ name: 'the name', tags: 'a b', 'user:x': 'y z' });
      }
    }
  });

  test('several objects have a blank line between two of them, and are an array in JSON', async () => {
    const user = await newUser();
    const made = [];
    for (const size of [1, 2, 3]) made.push(await user.create(`size ${size}`));
    for (const path of ['/drives/info', '/drives/info/full']) {
      for (const method of ['GET', 'POST']) {
        const objects = textObjects((await user.send({ method, path })).text);
        expect(objects.map(({ drive }) => drive)).toEqual(made.toSorted());
        const json = JSON.parse((await user.send({ method, path, headers: WANT_JSON })).text) as object[];
        expect(json).toEqual(objects.map((object) => ({ ...object, size: Number(object['size']) })));
      }
    }
  });

  test('a list is one bare UUID a line, and an array of objects in JSON', async () => {
    const user = await newUser();
    const made = [await user.create('size 1'), await user.create('size 2')].toSorted();
    for (const method of ['GET', 'POST']) {
      const text = await user.send({ method, path: '/drives/list' });
      expect([text.text, text.headers['x-elastic-output']]).toEqual([`${made.join('\n')}\n`, 'list']);
      const json = await user.send({ method, path: '/drives/list', headers: WANT_JSON });
      expect(JSON.parse(json.text)).toEqual(made.map((drive) => ({ drive })));
    }
  });

  test('nothing is an empty body in text, and [] in JSON', async () => {
    const user = await newUser();
    for (const path of ['list', 'info', 'info/full', 'list/standard', 'info/standard']) {
      expect(await user.get(`/drives/${path}`)).toMatchObject({ status: 200, text: '' });
      expect(await user.json(`/drives/${path}`)).toEqual([]);
    }
  });

  test('a create and a set answer in the format that is asked for', async () => {
    const json = await server.send({
      method: 'POST',
      path: '/drives/create',
      headers: WANT_JSON,
      body: 'size 7',
    });
    const { drive, size } = JSON.parse(json.text) as Record<string, unknown>;
    expect(size).toBe(7);
    expect(textObjects((await server.post(`/drives/${String(drive)}/set`, 'name n')).text)).toMatchObject([
      { drive, name: 'n', size: '7' },
    ]);
  });
});

test('everything in JSON but size is a string, also counters, numbers of one’s own and false', async () => {
  const body = JSON.stringify({ size: '1k', 'user:n': '5', 'user:f': 'false', tags: ['1'] });
  const answer = await server.send({
    method: 'POST',
    path: '/drives/create',
    headers: { ...JSON_TYPE, ...WANT_JSON },
    body,
  });
  for (const [key, value] of Object.entries(JSON.parse(answer.text) as Record<string, unknown>)) {
    expect([key, typeof value]).toEqual([key, key === 'size' ? 'number' : 'string']);
  }
});

test('a newline in a value is the two characters \\n in text, both ways', async () => {
  const drive = await server.create('size 1\nname one\\ntwo\nuser:key  two  spaces ');
  expect(await server.json(`/drives/${drive}/info`)).toMatchObject({
    name: 'one\ntwo',
    'user:key': ' two  spaces ',
  });
  expect((await server.get(`/drives/${drive}/info`)).text).toMatch(/^name one\\ntwo$/m);
});

test.each([
  undefined,
  'text/plain',
  'text/plain; charset=utf-8',
  'application/octet-stream',
  'application/x-www-form-urlencoded',
  'application/xml',
  'nonsense',
  'multipart/form-data',
])('a body of Content-Type %s is text', async (type) => {
  const headers = type === undefined ? {} : { 'content-type': type };
  const body = 'name a=b&c %41\nsize 5k\n';
  const answer = await server.send({ method: 'POST', path: '/drives/create', headers, body });
  expect([answer.status, textObjects(answer.text)[0]]).toEqual([
    200,
    expect.objectContaining({ name: 'a=b&c %41', size: '5120' }),
  ]);
});

test.each(['application/json', 'application/json; charset=utf-8', 'Application/JSON'])(
  'a body of Content-Type %s is JSON',
  async (type) => {
    const headers = { 'content-type': type };
    const answer = await server.send({ method: 'POST', path: '/drives/create', headers, body: '{"size":5}' });
    expect(answer.status).toBe(200);
  },
);

test('an empty body is fine with any Content-Type where no input is needed', async () => {
  const source = await server.create('size 1k');
  for (const type of ['application/json', 'text/plain', 'application/octet-stream', 'x/y']) {
    const headers = { 'content-type': type };
    const drive = await server.create('size 1k');
    const call = async (path: string): Promise<Answer> =>
      server.send({ method: 'POST', path: `/drives/${path}`, headers, body: '' });
    for (const path of ['list', 'info', `${drive}/info`, `${drive}/read/0/5`, `${drive}/set`]) {
      expect((await call(path)).status).toBe(200);
    }
    expect((await call(`${drive}/image/${source}`)).status).toBe(204);
    await expect.poll(async () => (await call(`${drive}/destroy`)).status).toBe(204);
  }
});

test.each([
  ['application/json', true],
  ['application/json, text/plain;q=0.5', true],
  ['text/html, application/json', true],
  ['text/plain', false],
  ['*/*', false],
  ['text/html', false],
  ['', false],
])('Accept %j gives JSON: %s', async (accept, json) => {
  const answer = await server.send({ path: '/drives/list', headers: { accept } });
  expect(answer.headers['content-type']).toMatch(json ? /^application\/json/ : /^text\/plain/);
});

test('a 204 has no body, and HEAD answers as GET without one', async () => {
  const drive = await server.create('size 1k');
  const written = await server.write(drive, Buffer.from('x'));
  expect([written.status, written.text, written.headers['content-type']]).toEqual([204, '', undefined]);
  const head = await server.send({ method: 'HEAD', path: `/drives/${drive}/info` });
  const get = await server.get(`/drives/${drive}/info`);
  expect([head.status, head.headers['content-length'], head.text]).toEqual([
    200,
    get.headers['content-length'],
    '',
  ]);
});

test('the API’s own keys never have an empty value: what has none is absent', async () => {
  const drive = await server.create('size 1k\nname \ntags \nreaders \n');
  const info = await server.info(drive);
  for (const key of ['name', 'tags', 'readers', 'claimed', 'imaging', 'imaging:error']) {
    expect(info).not.toHaveProperty(key);
  }
  expect((await server.get(`/drives/${drive}/info`)).text).not.toMatch(/^\S+ ?$/m);
});

test('lines may end with CRLF, the last one without an end, and blank ones are nothing', async () => {
  for (const body of ['size 5\r\nname n\r\n', '\nsize 5\n\nname n', 'size 5\nname n\n\n']) {
    const answer = await server.post('/drives/create', body);
    expect(textObjects(answer.text)).toMatchObject([{ size: '5', name: 'n' }]);
  }
});

test('health and metrics need no credentials; metrics name no user and no drive', async () => {
  const drive = await server.create('size 1k');
  const nobody = server.as(null);
  for (const path of ['/healthz', '/readyz', '/metrics']) expect((await nobody.get(path)).status).toBe(200);
  const metrics = (await nobody.get('/metrics')).text;
  expect(metrics).toMatch(/^# TYPE \w+ \w+$/m);
  expect(metrics).not.toContain(drive);
  expect(metrics).not.toContain(ADMIN_USER);
});

test('the log has one line a request with its id, and neither keys, values nor data', async () => {
  const key = ADMIN_AUTH.split(':')[1] ?? '';
  const basic = Buffer.from(ADMIN_AUTH).toString('base64');
  const headers = { 'x-request-id': 'my-own-id-1' };
  const body = 'size 1k\nname hidden-name\nuser:password hidden-value';
  const answer = await server.send({ method: 'POST', path: '/drives/create', headers, body });
  expect(answer.headers['x-request-id']).toBe('my-own-id-1');
  const drive = /^drive (.*)$/m.exec(answer.text)?.[1] ?? '';
  await server.write(drive, Buffer.from('hidden-data'));
  await server.send({ path: '/nope', headers: { 'x-request-id': 'my-own-id-2' } });
  await server.json(`/admin/drives/${drive}/key/export`, '');
  const lines = (id: string): string[] =>
    server
      .output()
      .split('\n')
      .filter((line) => line.includes(id));
  await expect.poll(() => lines('my-own-id-2').length).toBe(1);
  expect(lines('my-own-id-1')).toHaveLength(1);
  expect(JSON.parse(lines('my-own-id-1')[0] ?? '')).toMatchObject({ level: 'info' });
  const log = server
    .output()
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .join('\n');
  for (const secret of [key, basic, 'hidden-name', 'hidden-value', 'hidden-data'])
    expect(log).not.toContain(secret);
});

test('a key that was given by the environment is not printed at first start', () => {
  expect(server.output()).not.toContain(ADMIN_AUTH.split(':')[1]);
});
