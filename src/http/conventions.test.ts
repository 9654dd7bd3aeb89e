import { describe, expect, test } from 'vitest';
import { ADMIN, DRIVE, fakeService, OTHER, OWNER, pagesOf } from '../../test/helpers/fake-service.ts';
import { httpHarness, request } from '../../test/helpers/http-harness.ts';
import type { Harness } from '../../test/helpers/http-harness.ts';
import { API_COMMANDS } from './api-commands.ts';

const JSON_HEADERS = { accept: 'application/json' };

describe('credentials', () => {
  test('an unknown path without credentials is 401, not 404', async () => {
    await using harness = await httpHarness();
    const answer = await harness.server.app.inject({ method: 'GET', url: '/no/such/path' });
    expect(answer.statusCode).toBe(401);
    expect(answer.headers['www-authenticate']).toMatch(/^Basic realm="/);
    expect(answer.headers['x-elastic-error']).toBe('auth');
  });

  test('a path that is not valid percent-encoding is 401 without credentials and 400 with them', async () => {
    await using harness = await httpHarness();
    expect((await harness.server.app.inject({ method: 'GET', url: '/drives/%zz/info' })).statusCode).toBe(
      401,
    );
    const answer = await request(harness, 'GET', '/drives/%zz/info');
    expect([answer.status, answer.headers['x-elastic-error']]).toEqual([400, 'usage']);
  });

  test.each([
    ['another scheme', 'Bearer abc'],
    ['no base64', 'Basic !!!'],
    ['no colon', `Basic ${Buffer.from(OWNER).toString('base64')}`],
    ['an empty key', `Basic ${Buffer.from(`${OWNER}:`).toString('base64')}`],
    ['a user that is no UUID', `Basic ${Buffer.from('ann:key').toString('base64')}`],
    ['bytes that are not UTF-8', `Basic ${Buffer.from([0xff, 0x3a, 0xff]).toString('base64')}`],
    ['a wrong key', `Basic ${Buffer.from(`${OWNER}:wrong`).toString('base64')}`],
  ])('an Authorization header with %s is 401', async (_what, authorization) => {
    await using harness = await httpHarness();
    const answer = await harness.server.app.inject({
      method: 'GET',
      url: '/drives/list',
      headers: { authorization },
    });
    expect(answer.statusCode).toBe(401);
  });

  test('the service gets the address of the peer to slow it down by', async () => {
    const { service, calls } = fakeService();
    await using harness = await httpHarness({ service });
    await request(harness, 'GET', '/drives/list');
    expect(calls[0]?.args[0]).toMatchObject({ userId: OWNER, address: '127.0.0.1' });
  });

  test.each(['/healthz', '/readyz', '/metrics'])('%s needs no credentials', async (url) => {
    await using harness = await httpHarness();
    expect((await harness.server.app.inject({ method: 'GET', url: `${url}?probe=1` })).statusCode).toBe(200);
  });
});

describe('answers', () => {
  const get = async (harness: Harness, url: string, headers: Record<string, string> = {}) =>
    await request(harness, 'GET', url, { headers });

  test('one object is text without a leading or trailing blank line, and properties', async () => {
    await using harness = await httpHarness();
    const answer = await get(harness, `/drives/${DRIVE}/info`);
    expect(answer.text).toBe(`drive ${DRIVE}\nname root\nuser ${OWNER}\nsize 4096\nread:bytes 17\n`);
    expect(answer.headers['x-elastic-output']).toBe('properties');
    expect(answer.headers['content-type']).toMatch(/^text\/plain/);
  });

  test('several objects have one blank line between two of them', async () => {
    await using harness = await httpHarness();
    const answer = await get(harness, '/drives/info');
    const objects = answer.text.split('\n\n');
    expect(objects.map((object) => object.split('\n')[0])).toEqual([`drive ${DRIVE}`, `drive ${OTHER}`]);
    expect(answer.text.endsWith('17\n')).toBe(true);
    expect(answer.headers['x-elastic-output']).toBe('properties');
  });

  test('a list is a bare value a line, and list', async () => {
    await using harness = await httpHarness();
    const answer = await get(harness, '/drives/list');
    expect(answer.text).toBe(`${DRIVE}\n${OTHER}\n`);
    expect(answer.headers['x-elastic-output']).toBe('list');
  });

  test('lists with nothing in them are empty text, and an empty array', async () => {
    const empty = { list: () => pagesOf<string>(), infos: () => pagesOf<{ drive: string }>([]) };
    await using harness = await httpHarness({ service: fakeService({ drives: empty }).service });
    for (const url of ['/drives/list', '/drives/info']) {
      expect((await get(harness, url)).text).toBe('');
      expect((await get(harness, url, JSON_HEADERS)).text).toBe('[]');
    }
  });

  test('in JSON one object is an object in which size is a number and everything else a string', async () => {
    await using harness = await httpHarness();
    const answer = await get(harness, `/drives/${DRIVE}/info`, JSON_HEADERS);
    const expected = { drive: DRIVE, name: 'root', user: OWNER, size: 4096, 'read:bytes': '17' };
    expect(JSON.parse(answer.text)).toEqual(expected);
    expect(answer.headers['content-type']).toBe('application/json');
  });

  test('in JSON several objects are an array, and the list is an array of objects with drive', async () => {
    await using harness = await httpHarness();
    const infos = JSON.parse((await get(harness, '/drives/info', JSON_HEADERS)).text) as { drive: string }[];
    expect(infos.map((info) => info.drive)).toEqual([DRIVE, OTHER]);
    const list = await get(harness, '/drives/list', JSON_HEADERS);
    expect(JSON.parse(list.text)).toEqual([{ drive: DRIVE }, { drive: OTHER }]);
  });

  test('a newline in a value is written as the two characters backslash and n', async () => {
    const info = async () => ({ drive: DRIVE, name: 'two\nlines' });
    await using harness = await httpHarness({ service: fakeService({ drives: { info } }).service });
    expect((await get(harness, `/drives/${DRIVE}/info`)).text).toBe(`drive ${DRIVE}\nname two\\nlines\n`);
  });

  test('a key with no value is absent', async () => {
    const info = async () => ({ drive: DRIVE, name: '' });
    await using harness = await httpHarness({ service: fakeService({ drives: { info } }).service });
    expect((await get(harness, `/drives/${DRIVE}/info`)).text).toBe(`drive ${DRIVE}\n`);
    expect((await get(harness, `/drives/${DRIVE}/info`, JSON_HEADERS)).text).toBe(`{"drive":"${DRIVE}"}`);
  });

  test.each([
    ['application/json', true],
    ['text/html, application/json;q=0.9, */*', true],
    ['application/json;q=0', false],
    ['text/plain, application/json;q=0.1', false],
    ['*/*', false],
    ['text/plain', false],
  ])('Accept: %s gives JSON: %s', async (accept, isJson) => {
    await using harness = await httpHarness();
    const answer = await get(harness, '/drives/list', { accept });
    expect(String(answer.headers['content-type']).startsWith('application/json')).toBe(isJson);
  });

  test('every answer has a request id: the client’s when it is sane, else a new one', async () => {
    await using harness = await httpHarness();
    const id = async (value: string) =>
      String((await get(harness, '/drives/list', { 'x-request-id': value })).headers['x-request-id']);
    expect(await id('abc-123')).toBe('abc-123');
    expect(await id('no spaces please')).toMatch(/^[0-9a-f-]{36}$/);
    expect(await id('x'.repeat(65))).toMatch(/^[0-9a-f-]{36}$/);
  });
});

describe('methods', () => {
  const fill = (path: string): string =>
    path
      .replace(/:(drive|source|user)/g, DRIVE)
      .replace(':offset', '0')
      .replace(':size', '512');
  const queries = API_COMMANDS.filter((command) => command.method === 'GET').map(({ path }) => fill(path));
  const changes = API_COMMANDS.filter((command) => command.method === 'POST').map(({ path }) => fill(path));

  test.each(queries)('POST %s with an empty body gives the same as GET', async (url) => {
    await using harness = await httpHarness();
    const byGet = await request(harness, 'GET', url, { user: ADMIN });
    const byPost = await request(harness, 'POST', url, { user: ADMIN });
    expect([byGet.status, byPost.status]).toEqual([200, 200]);
    expect(byPost.text).toBe(byGet.text);
  });

  test.each(queries)('HEAD %s gives the headers without a body', async (url) => {
    await using harness = await httpHarness();
    const answer = await request(harness, 'HEAD', url, { user: ADMIN });
    expect([answer.status, answer.text]).toEqual([200, '']);
    expect(answer.headers['content-type']).toBeDefined();
  });

  test.each(changes)('GET %s is 405 with Allow: POST', async (url) => {
    const { service, calls } = fakeService();
    await using harness = await httpHarness({ service });
    for (const method of ['GET', 'HEAD', 'PUT', 'DELETE', 'PROPFIND']) {
      const answer = await request(harness, method, url, { user: ADMIN });
      expect([answer.status, answer.headers['allow'], answer.headers['x-elastic-error']]).toEqual([
        405,
        'POST',
        'method',
      ]);
    }
    expect(calls.every((call) => call.name === 'access.authenticate')).toBe(true);
  });

  test.each(['PUT', 'DELETE', 'PATCH', 'OPTIONS', 'TRACE', 'PROPFIND'])(
    '%s on a command that changes nothing is 405 with Allow',
    async (method) => {
      await using harness = await httpHarness();
      const answer = await request(harness, method, '/drives/list');
      expect([answer.status, answer.headers['allow']]).toEqual([405, 'GET, HEAD, POST']);
    },
  );

  test.each(['GET', 'POST', 'PUT', 'OPTIONS', 'PROPFIND', 'QUERY'])(
    '%s on an unknown path is 404',
    async (method) => {
      await using harness = await httpHarness();
      const answer = await request(harness, method, '/drives/nonsense');
      expect([answer.status, answer.text]).toEqual([404, expect.stringContaining('could not be found')]);
    },
  );
});

describe('paths', () => {
  test.each([
    '/',
    '/drives',
    '/drives/list/',
    '/drives//list',
    '/Drives/list',
    '/drives/list/..',
    '/drives/%2e%2e/info',
    `/drives/${DRIVE}`,
    `/drives/${DRIVE}/info/more`,
    `/drives/${DRIVE}/image/${OTHER}/plain`,
    `/drives/${DRIVE}/image/${OTHER}/gzip/gzip`,
    `/drives/${DRIVE.toUpperCase()}/info`,
    `/drives/${DRIVE}%2Finfo/info`,
    `/drives/${DRIVE}%00/info`,
    `/drives/${'x'.repeat(5000)}/info`,
    '/admin/users/ann/info',
  ])('%s could not be found', async (url) => {
    await using harness = await httpHarness();
    const answer = await request(harness, 'GET', url, { user: ADMIN });
    expect([answer.status, answer.headers['x-elastic-error']]).toEqual([404, 'missing']);
    expect(answer.text).toContain('could not be found');
  });

  test('a percent-encoded path is the same as a plain one', async () => {
    await using harness = await httpHarness();
    expect((await request(harness, 'GET', `/drives/%61${DRIVE.slice(1)}/info`)).status).toBe(200);
  });
});
