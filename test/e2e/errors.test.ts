import { execFileSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Answer } from '../helpers/drive-client.ts';
import { ADMIN_AUTH, startServer } from '../helpers/server-process.ts';
import type { ServerProcess } from '../helpers/server-process.ts';
import { storedVolume } from '../helpers/stored-volume.ts';
import { rawSocket, requestHead } from './raw-socket.ts';

let server: ServerProcess;
let drive: string;

beforeAll(async () => {
  server = await startServer({ args: ['--max-connections', '40'] });
  drive = await server.create('size 1M');
});

afterAll(async () => {
  await server[Symbol.asyncDispose]();
});

function expectError(answer: Answer, status: number, type: string): void {
  expect([answer.status, String(answer.headers['x-elastic-error']).split(' ')[0]]).toEqual([status, type]);
  expect(answer.headers['content-type']).toMatch(/^text\/plain/);
  expect(answer.text).toMatch(/^[^\n]+\.\n$/);
  expect(answer.text).not.toMatch(/node:|\.ts\b|\bat \w+ \(\/|undefined|\[object/);
}

test('every kind of error says in JSON what it is and what was wrong', async () => {
  const source = await server.create('size 2M');
  const headers = { accept: 'application/json' };
  for (const [method, path, status, error] of [
    ['POST', '/drives/create', 400, 'usage'],
    ['GET', '/nope', 404, 'missing'],
    ['GET', '/drives/create', 405, 'method'],
    ['POST', `/drives/${drive}/image/${source}`, 400, 'usage'],
  ] as const) {
    const answer = await server.send({ method, path, headers });
    expect(answer.status).toBe(status);
    expect(answer.headers['content-type']).toMatch(/^application\/json/);
    const body = JSON.parse(answer.text) as Record<string, unknown>;
    expect(body).toEqual({ error, message: expect.stringMatching(/^.+ .+\.$/) });
  }
  const unauthorized = await server.as(null).send({ path: '/drives/list', headers });
  expect(JSON.parse(unauthorized.text)).toMatchObject({ error: 'auth' });
});

describe('400', () => {
  test.each([
    ['invalid UTF-8', Buffer.from([...Buffer.from('size 5\nname '), 0xff, 0xfe])],
    ['a line that begins with a space', Buffer.from(' size 5')],
    ['JSON where text is meant', Buffer.from('{"size":5}')],
    ['a null byte', Buffer.from('size 5\u0000')],
    ['a size beyond 2^53', Buffer.from('size 9007199254740993')],
    ['a size beyond everything', Buffer.from(`size ${'9'.repeat(400)}`)],
    [
      '129 user pairs',
      Buffer.from(`size 1\n${Array.from({ length: 129 }, (_, i) => `user:k${i} v`).join('\n')}`),
    ],
  ])('%s', async (_title, body) => {
    expectError(await server.send({ method: 'POST', path: '/drives/create', body }), 400, 'usage');
  });

  test.each([
    '',
    '0',
    '1.5G',
    '-1',
    '+1',
    '0x10',
    '1e9',
    '1kk',
    '1P',
    '1 G',
    ' 1',
    '1_000',
    '1,000',
    'k',
    '\u0661',
    '1\u00a0',
    'NaN',
    'Infinity',
  ])('size %j, in text and in JSON, at the name of the value', async (size) => {
    const text = await server.post('/drives/create', `size ${size}`);
    const headers = { 'content-type': 'application/json' };
    const body = JSON.stringify({ size });
    const json = await server.send({ method: 'POST', path: '/drives/create', headers, body });
    for (const answer of [text, json]) {
      expectError(answer, 400, 'usage');
      expect(answer.text).toContain(size);
    }
  });

  test.each([
    '{',
    '[]',
    '5',
    '"x"',
    'null',
    '{"size":5,"size":6}',
    '{"size":{}}',
    '{"size":null}',
    '{"size":1.5}',
    '{"size":-1}',
    '{"size":true}',
    '{"size":5,"name":7}',
    '{"size":5,"__proto__":"x"}',
    '{"size":1e300}',
    '{"size":9007199254740993}',
    `${'['.repeat(20_000)}`,
    '\ufeff{"size":5',
  ])('JSON %.30s', async (body) => {
    const headers = { 'content-type': 'application/json' };
    expectError(await server.send({ method: 'POST', path: '/drives/create', headers, body }), 400, 'usage');
  });

  test('a path that is no valid percent-encoding', async () => {
    for (const path of ['/drives/%', '/drives/%zz/info', '/%ff%fe']) {
      expect([400, 404]).toContain((await server.get(path)).status);
    }
  });
});

describe('404', () => {
  test.each([
    '/',
    '/drives',
    '/drives/',
    '/drives/list/',
    '//drives/list',
    '/Drives/list',
    '/drives/list/other',
    '/drives/../drives/list',
    '/drives/%2e%2e/etc/passwd',
    '/drives/%00/info',
    '/favicon.ico',
    '/drives/DRIVE/info/',
    '/drives/DRIVE/read',
    '/drives/DRIVE/read/0',
    '/drives/DRIVE/read/0/1/2',
    '/drives/DRIVE/write/0/1',
    '/drives/DRIVE/image',
    `/drives/x/info`,
  ])('%s', async (path) => {
    for (const method of ['GET', 'POST']) {
      const answer = await server.send({ method, path: path.replace('DRIVE', drive) });
      expectError(answer, 404, 'missing');
      expect(answer.text).toContain('could not be found');
    }
  });

  test('a drive in capital letters, in braces, or of other people’s making', async () => {
    for (const name of [
      drive.toUpperCase(),
      `{${drive}}`,
      `${drive}x`,
      drive.replaceAll('-', ''),
      randomUUID(),
    ]) {
      expectError(await server.get(`/drives/${name}/info`), 404, 'missing');
    }
  });
});

test('405: GET, PUT and DELETE on a command that changes something, with what is allowed', async () => {
  for (const path of [
    'create',
    'D/set',
    'D/destroy',
    'D/write',
    'D/write/0',
    'D/image/D',
    'D/image/D/gzip',
  ]) {
    for (const method of ['GET', 'HEAD', 'PUT', 'DELETE', 'PATCH']) {
      const answer = await server.send({ method, path: `/drives/${path.replaceAll('D', drive)}` });
      expect([answer.status, answer.headers.allow]).toEqual([405, 'POST']);
      if (method !== 'HEAD') expectError(answer, 405, 'method');
    }
  }
  const answer = await server.send({ method: 'DELETE', path: '/drives/list' });
  expect([answer.status, answer.headers.allow]).toEqual([405, expect.stringMatching(/GET.*POST/)]);
});

test('413: a command’s body that is larger than any command needs, before it has all come', async () => {
  expectError(await server.post('/drives/create', `size 1\nuser:x ${'x'.repeat(100_000)}`), 413, 'usage');
  const head = requestHead(ADMIN_AUTH, 'POST /drives/create', ['Content-Length: 1000000000000']);
  using raw = await rawSocket(server.port, `${head}size 1`);
  expect(await raw.head()).toMatch(/^HTTP\/1.1 413 /);
});

test('500: a broken drive is Drivebay’s own fault, with an id that the log has too', async () => {
  const broken = await server.create('size 1M\nencryption:cipher none');
  await (await storedVolume(server, broken)).remove();
  const answer = await server.get(`/drives/${broken}/read/0/1`);
  expect([500, 503]).toContain(answer.status);
  expectError(answer, answer.status, answer.status === 500 ? 'failed' : 'system');
  expect(answer.text).not.toContain(server.dataDirectory);
  await expect.poll(() => server.output()).toContain(String(answer.headers['x-request-id']));
  expect((await server.get(`/drives/${drive}/read/0/1`)).status).toBe(200);
});

test('503: a connection too many is told so with Retry-After, and room is made when others end', async () => {
  // The limit is that of one process.
  const { port } = server.nodes[0];
  const held = await Promise.all(Array.from({ length: 40 }, async () => rawSocket(port)));
  try {
    using raw = await rawSocket(port, requestHead(ADMIN_AUTH, 'GET /drives/list'));
    expect(await raw.untilClosed()).toMatch(/^HTTP\/1.1 503 [^]*X-Elastic-Error: system[^]*$/i);
    expect(raw.received()).toMatch(/^Retry-After: \d+/im);
  } finally {
    for (const raw of held) raw[Symbol.dispose]();
  }
  await expect.poll(async () => (await server.nodes[0].get('/drives/list')).status).toBe(200);
});

describe('what is no HTTP is a 400 of the same form', () => {
  test.each([
    ['garbage', 'hello\r\n\r\n'],
    [
      'two lengths',
      requestHead(ADMIN_AUTH, 'POST /drives/create', ['Content-Length: 6', 'Content-Length: 7']),
    ],
    [
      'length and chunks',
      requestHead(ADMIN_AUTH, 'POST /drives/create', ['Content-Length: 6', 'Transfer-Encoding: chunked']),
    ],
    ['headers of 100 kB', requestHead(ADMIN_AUTH, 'GET /drives/list', [`X-Long: ${'x'.repeat(100_000)}`])],
    ['a header without end', `GET /drives/list HTTP/1.1\r\nX-Long: ${'x'.repeat(200_000)}`],
    ['a URL of 100 kB', requestHead(ADMIN_AUTH, `GET /drives/${'x'.repeat(100_000)}`)],
    ['a Host missing', 'GET /readyz HTTP/1.1\r\n\r\n'],
  ])('%s', async (_title, sent) => {
    using raw = await rawSocket(server.port, sent);
    expect(await raw.head()).toMatch(/^HTTP\/1.1 400 [^]*X-Elastic-Error: usage/i);
    expect(await server.get('/drives/list')).toMatchObject({ status: 200 });
  });
});

test('headers that come too slowly are given up on', { timeout: 40_000 }, async () => {
  using raw = await rawSocket(server.port, 'GET /drives/list HTTP/1.1\r\nHost: a\r\n');
  const drip = setInterval(() => raw.socket.write('X: y\r\n'), 500);
  const answer = await raw.untilClosed().finally(() => {
    clearInterval(drip);
  });
  expect(answer).toMatch(/^(HTTP\/1.1 400 [^]*)?$/);
});

test('a curl session is answered as any other', () => {
  const url = `http://127.0.0.1:${server.port}`;
  const curl = (...args: string[]): string =>
    execFileSync('curl', ['-sS', '-u', ADMIN_AUTH, ...args]).toString();
  expect(curl('-d', 'size 4k', `${url}/drives/create`)).toMatch(/^drive [0-9a-f-]{36}\n/);
  expect(curl('-X', 'POST', `${url}/drives/list`)).toContain(drive);
  expect(curl('-w', '%{http_code}', '--data-binary', '@/dev/null', `${url}/drives/${drive}/write`)).toContain(
    '204',
  );
  expect(curl('-w', '%{http_code}', '-o', '/dev/null', `${url}/nope`)).toBe('404');
});
