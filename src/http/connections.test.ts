import { once } from 'node:events';
import type { Socket } from 'node:net';
import { describe, expect, test } from 'vitest';
import { DriveError } from '../core/errors.ts';
import { DRIVE, fakeService, OTHER, OWNER, pagesOf } from '../../test/helpers/fake-service.ts';
import type { SetDriveInput } from '../service/service.ts';
import { basicAuth, head, listeningHarness, rawClient } from '../../test/helpers/http-harness.ts';

describe('what is no request', () => {
  test.each([
    ['nonsense', 'HELLO\r\n\r\n'],
    ['an unknown method', 'FROB / HTTP/1.1\r\nHost: x\r\n\r\n'],
    ['a header without a colon', 'GET / HTTP/1.1\r\nHost x\r\n\r\n'],
    ['two lengths', 'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n'],
    ['a length that is no number', 'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: many\r\n\r\n'],
    ['CONNECT', 'CONNECT a:1 HTTP/1.1\r\nHost: x\r\n\r\n'],
    ['no Host', `GET /drives/list HTTP/1.1\r\nAuthorization: ${basicAuth()}\r\n\r\n`],
    ['two Hosts', head('GET /drives/list', { host: 'other' })],
    ['the same Host twice, to a command for anyone', 'GET /healthz HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n'],
    ['two Hosts in HTTP/1.0', 'GET /healthz HTTP/1.0\r\nHost: x\r\nHost: y\r\n\r\n'],
    ['headers of more than 16 KiB', `GET / HTTP/1.1\r\nHost: x\r\nX-Big: ${'x'.repeat(17_000)}\r\n\r\n`],
    ['a path of more than 16 KiB', `GET /${'x'.repeat(17_000)} HTTP/1.1\r\nHost: x\r\n\r\n`],
  ])('%s is 400 usage, and the server goes on', async (_what, text) => {
    await using harness = await listeningHarness();
    using client = rawClient(harness.address);
    client.send(text);
    expect(await client.until('\r\n\r\n')).toMatch(/^HTTP\/1.1 400 [^]*X-Elastic-Error: usage/);
    client.socket.destroy();
    expect((await fetch(`${harness.address.url}/healthz`)).status).toBe(200);
  });

  test('headers that never end are 400 after the limit', async () => {
    const limits = { headersTimeoutMs: 100, timeoutCheckIntervalMs: 20 };
    await using harness = await listeningHarness({ limits });
    using client = rawClient(harness.address);
    client.send('GET / HTTP/1.1\r\nHost: x\r\n');
    expect((await client.closed()).text).toMatch(/^HTTP\/1.1 400 [^]*did not come in time/);
  });

  test('a connection that says nothing is closed after the limit', async () => {
    const limits = { headersTimeoutMs: 100, timeoutCheckIntervalMs: 20 };
    await using harness = await listeningHarness({ limits });
    using client = rawClient(harness.address);
    expect((await client.closed()).isReset).toBe(false);
  });

  test('an idle connection is closed after the limit', async () => {
    await using harness = await listeningHarness({ limits: { keepAliveTimeoutMs: 50 } });
    using client = rawClient(harness.address);
    client.send(head('GET /drives/list'));
    expect((await client.closed()).text).toMatch(/^HTTP\/1.1 200 /);
  });

  test('nonsense after a good request does not spoil its answer', async () => {
    await using harness = await listeningHarness();
    using client = rawClient(harness.address);
    client.send(`${head('GET /drives/list')}NONSENSE\r\n\r\n`);
    const { text } = await client.closed();
    expect(text).toMatch(/^HTTP\/1.1 200 /);
    expect(text).toContain(OTHER);
    expect(text.match(/^HTTP\/1.1 \d+/gm)).toEqual(['HTTP/1.1 200', 'HTTP/1.1 400']);
  });

  test.each([
    ['that are read past the parser', ''],
    ['that only the parser reads', 'X-A: tab\t\r\n'],
  ])('requests %s are begun one after the other, each when the last is answered', async (_what, odd) => {
    const { promise: gate, resolve: open } = Promise.withResolvers<void>();
    const begun: string[] = [];
    const set = async (_actor: unknown, _drive: unknown, { name = '' }: SetDriveInput) => {
      begun.push(name);
      await gate;
      return { drive: DRIVE };
    };
    const info = async () => {
      begun.push('info');
      return { drive: DRIVE };
    };
    await using harness = await listeningHarness({ service: fakeService({ drives: { set, info } }).service });
    using client = rawClient(harness.address);
    const path = `/drives/${DRIVE}`;
    const odder = (text: string): string => text.replace('\r\n\r\n', `\r\n${odd}\r\n`);
    for (const name of ['a', 'b'])
      client.send(`${odder(head(`POST ${path}/set`, { 'Content-Length': 7 }))}name ${name}\n`);
    client.send(odder(head(`GET ${path}/info`)));
    while (begun.length === 0) await new Promise((resolve) => setImmediate(resolve));
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(begun).toEqual(['a']);
    open();
    while (client.received().split('HTTP/1.1 200').length < 4)
      await new Promise((resolve) => setImmediate(resolve));
    expect(begun).toEqual(['a', 'b', 'info']);
  });

  test('a chunked body that is broken is 400', async () => {
    await using harness = await listeningHarness();
    using client = rawClient(harness.address);
    client.send(`${head('POST /drives/create', { 'Transfer-Encoding': 'chunked' })}zz\r\n`);
    expect((await client.closed()).text).toMatch(/^HTTP\/1.1 400 [^]*X-Elastic-Error: usage/);
  });
});

describe('paths on the wire', () => {
  test.each([
    '/drives/../drives/list',
    '/./drives/list',
    '//drives/list',
    '*',
    'drives/list',
    '/drives/list%',
  ])('%s is not normalised into a command', async (path) => {
    await using harness = await listeningHarness();
    using client = rawClient(harness.address);
    client.send(head(`GET ${path}`, { Connection: 'close' }));
    expect((await client.closed()).text).toMatch(/^HTTP\/1.1 40[04] /);
  });

  test('an expectation that nobody knows is passed over', async () => {
    await using harness = await listeningHarness();
    using client = rawClient(harness.address);
    client.send(head('GET /drives/list', { Expect: 'miracles', Connection: 'close' }));
    expect((await client.closed()).text).toMatch(/^HTTP\/1.1 200 /);
  });

  test('a chunked body is taken by every command but write, up to the same limit', async () => {
    await using harness = await listeningHarness();
    const chunked = async (bytes: number): Promise<string> => {
      using client = rawClient(harness.address);
      const body = `size 1\nname ${'x'.repeat(bytes)}`;
      client.send(head('POST /drives/create', { 'Transfer-Encoding': 'chunked', Connection: 'close' }));
      client.send(`${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`);
      return (await client.closed()).text.slice(0, 12);
    };
    expect(await chunked(10)).toBe('HTTP/1.1 200');
    expect(await chunked(70_000)).toBe('HTTP/1.1 413');
  });

  test('chunks of what is packed besides are refused, not taken for the text itself', async () => {
    await using harness = await listeningHarness();
    using client = rawClient(harness.address);
    const headers = { 'Transfer-Encoding': 'gzip, chunked', Connection: 'close' };
    client.send(`${head('POST /drives/create', headers)}6\r\nsize 1\r\n0\r\n\r\n`);
    const { text } = await client.closed();
    expect(text).toMatch(/^HTTP\/1.1 400 /);
    expect(text).toContain('The Transfer-Encoding "gzip, chunked" is not taken; only chunked is.');
  });
});

describe('connections over the limit', () => {
  test('are told 503 with Retry-After and closed, and others are served once there is room', async () => {
    await using harness = await listeningHarness({ limits: { connections: 1, refusedConnections: 1000 } });
    const first = rawClient(harness.address);
    first.send(head('GET /drives/list'));
    await first.until('HTTP/1.1 200');
    using second = rawClient(harness.address);
    second.send(head('GET /drives/list'));
    const { text, isReset } = await second.closed();
    expect(text).toMatch(/^HTTP\/1.1 503 [^]*X-Elastic-Error: system[^]*Retry-After: 5/);
    expect([text.split('HTTP/1.1').length, isReset]).toEqual([2, false]);
    first.socket.destroy();
    const retry = async (): Promise<number> => {
      const { status } = await fetch(`${harness.address.url}/healthz`, { headers: { connection: 'close' } });
      return status === 503 ? await retry() : status;
    };
    expect(await retry()).toBe(200);
  });
});

describe('closing', () => {
  test('lets a request under way finish, and ends idle connections', async () => {
    const { promise: gate, resolve: open } = Promise.withResolvers<void>();
    const { promise: started, resolve: start } = Promise.withResolvers<void>();
    const info = async () => {
      start();
      await gate;
      return { drive: DRIVE };
    };
    const harness = await listeningHarness({ service: fakeService({ drives: { info } }).service });
    using idle = rawClient(harness.address);
    idle.send(head('GET /drives/list'));
    await idle.until('HTTP/1.1 200');
    using busy = rawClient(harness.address);
    busy.send(head(`GET /drives/${DRIVE}/info`));
    await started;
    const closing = harness.server.close();
    await idle.closed();
    open();
    const { text } = await busy.closed();
    expect(text).toMatch(/^HTTP\/1.1 200 [^]*Connection: close/);
    await closing;
    await expect(fetch(`${harness.address.url}/healthz`)).rejects.toThrow('fetch failed');
  });

  test('answers a request that was half sent, says that it is not ready, and ends the connection', async () => {
    const harness = await listeningHarness();
    const connected = once(harness.server.app.server, 'connection') as Promise<[Socket]>;
    using client = rawClient(harness.address);
    const [socket] = await connected;
    const half = `${head('GET /drives/list')}GET /readyz HTTP/1.1\r\nHost:`;
    client.send(half);
    await client.until('HTTP/1.1 200');
    while (socket.bytesRead < half.length) await new Promise((resolve) => setImmediate(resolve));
    const closing = harness.server.close();
    client.send(' x\r\n\r\n');
    const { text } = await client.closed();
    expect(text.split('HTTP/1.1')[2]).toMatch(/^ 503 [^]*Connection: close[^]*shutting down/);
    await closing;
  });

  test('does not wait for ever', async () => {
    const { promise: started, resolve: start } = Promise.withResolvers<void>();
    const info = async () => {
      start();
      return await new Promise<never>(() => undefined);
    };
    const limits = { closeTimeoutMs: 50 };
    const harness = await listeningHarness({ service: fakeService({ drives: { info } }).service, limits });
    using client = rawClient(harness.address);
    client.send(head(`GET /drives/${DRIVE}/info`));
    await started;
    await harness.server.close();
    expect((await client.closed()).text).toBe('');
  });
});

describe('the log', () => {
  test('has one line a request with its facts and without secrets', async () => {
    await using harness = await listeningHarness();
    using client = rawClient(harness.address);
    const secrets = { 'Idempotency-Key': 'very-secret', 'X-Request-Id': 'id-1', Connection: 'close' };
    client.send(`${head('POST /drives/create?', { ...secrets, 'Content-Length': 7 })}size 1\n`);
    await client.closed();
    expect(harness.lines).toEqual([
      expect.objectContaining({
        level: 30,
        requestId: 'id-1',
        method: 'POST',
        route: '/drives/create',
        path: '/drives/create',
        status: 200,
        ms: expect.any(Number),
        receivedBytes: 7,
        sentBytes: expect.any(Number),
        user: OWNER,
      }),
    ]);
    const text = JSON.stringify(harness.lines);
    for (const secret of ['very-secret', 'SecretKey', basicAuth().slice(6)])
      expect(text).not.toContain(secret);
  });

  test('has a line also for what has no route and for what has no user', async () => {
    await using harness = await listeningHarness();
    await fetch(`${harness.address.url}/nonsense`);
    expect(harness.lines).toEqual([expect.objectContaining({ route: null, user: null, status: 401 })]);
  });

  test('counts a client that has only stopped sending as one that waits for its answer', async () => {
    await using harness = await listeningHarness();
    const client = rawClient(harness.address);
    client.socket.end(head(`GET /drives/${DRIVE}/info`));
    expect((await client.closed()).text).toMatch(/^HTTP\/1.1 200 /);
    expect(harness.lines).toEqual([expect.objectContaining({ isAborted: false, status: 200 })]);
  });

  test('says when the client went away before the answer', async () => {
    const { promise: started, resolve: start } = Promise.withResolvers<void>();
    const info = async () => {
      start();
      return await new Promise<never>(() => undefined);
    };
    await using harness = await listeningHarness({ service: fakeService({ drives: { info } }).service });
    const client = rawClient(harness.address);
    client.send(head(`GET /drives/${DRIVE}/info`));
    await started;
    client.socket.resetAndDestroy();
    while (harness.lines.length === 0) await new Promise((resolve) => setImmediate(resolve));
    expect(harness.lines).toEqual([expect.objectContaining({ isAborted: true, status: null })]);
  });
});

describe('metrics and health', () => {
  test('metrics count by route and status class, without a UUID', async () => {
    await using harness = await listeningHarness();
    const headers = { authorization: basicAuth() };
    await fetch(`${harness.address.url}/drives/${DRIVE}/info`, { headers });
    await fetch(`${harness.address.url}/drives/list`);
    const text = await (await fetch(`${harness.address.url}/metrics`)).text();
    expect(text).toContain('drivebay_http_request_seconds_count{route="/drives/:drive/info",status="2xx"} 1');
    expect(text).toContain('drivebay_http_request_seconds_count{route="/drives/list",status="4xx"} 1');
    expect(text).toContain('drivebay_http_auth_failures_total 1');
    expect(text).toContain('drivebay_http_requests_in_flight 1');
    expect(text).toMatch(/drivebay_http_connections [1-9]/);
    expect(text).toMatch(/drivebay_http_sent_bytes_total [1-9]/);
    expect(text).toContain('process_cpu_seconds_total');
    expect(text).not.toContain(DRIVE);
  });

  test('readyz is 503 with Retry-After and the reason while Drivebay cannot serve; healthz is 200', async () => {
    const checkReady = async (): Promise<void> => {
      throw new DriveError('system', 'The database is away.');
    };
    await using harness = await listeningHarness({
      service: fakeService({ health: { checkReady } }).service,
    });
    const ready = await fetch(`${harness.address.url}/readyz`);
    expect([ready.status, ready.headers.get('retry-after')]).toEqual([503, '5']);
    expect(await ready.text()).toBe('The database is away.\n');
    expect((await fetch(`${harness.address.url}/healthz`)).status).toBe(200);
  });
});

describe('long lists', () => {
  test('are read page by page as the client takes them, and no further when it goes away', async () => {
    let pages = 0;
    const { promise: ended, resolve: end } = Promise.withResolvers<void>();
    const list = async function* () {
      try {
        for (; pages < 100_000; pages += 1) yield* pagesOf(Array.from({ length: 1000 }, () => DRIVE));
      } finally {
        end();
      }
    };
    await using harness = await listeningHarness({ service: fakeService({ drives: { list } }).service });
    const client = rawClient(harness.address);
    client.send(head('GET /drives/list'));
    await client.until('HTTP/1.1 200');
    client.socket.destroy();
    await ended;
    expect(pages).toBeLessThan(100_000);
  });
});
