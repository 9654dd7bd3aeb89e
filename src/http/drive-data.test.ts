import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { NO_DIGEST } from '../core/body-digest.ts';
import { DriveError } from '../core/errors.ts';
import { DRIVE, fakeService } from '../../test/helpers/fake-service.ts';
import { head, httpHarness, listeningHarness, rawClient, request } from '../../test/helpers/http-harness.ts';
import type { DriveWrite, Piece } from '../service/service.ts';

const READ = `/drives/${DRIVE}/read`;
const WRITE = `/drives/${DRIVE}/write`;

/** A source of pieces that knows which of them are lent. */
function lender(pieceBytes: number, count: number) {
  const ledger = { lent: 0, most: 0, released: 0, given: 0 };
  async function* pieces(): AsyncGenerator<Piece> {
    for (let index = 0; index < count; index += 1) {
      ledger.lent += 1;
      ledger.given += 1;
      ledger.most = Math.max(ledger.most, ledger.lent);
      let isLent = true;
      yield {
        bytes: Buffer.alloc(pieceBytes, index),
        release: () => {
          if (!isLent) throw new Error('released twice');
          isLent = false;
          ledger.lent -= 1;
          ledger.released += 1;
        },
      };
    }
  }
  const read = async () => ({ digest: NO_DIGEST, sentBytes: null, pieces: pieces() });
  return { ledger, service: fakeService({ driveData: { read } }).service };
}

/** Waits for a condition that some other party brings about. */
async function eventually(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve));
}

describe('read', () => {
  test('gives the bytes as application/octet-stream with Content-Length', async () => {
    await using harness = await httpHarness();
    const answer = await request(harness, 'GET', `${READ}/0/512`);
    expect(answer.headers).toMatchObject({
      'content-type': 'application/octet-stream',
      'content-length': '512',
    });
    expect(answer.text).toBe('\u0007'.repeat(512));
  });

  test('offset and size take suffixes', async () => {
    const { service, calls } = fakeService();
    await using harness = await httpHarness({ service });
    await request(harness, 'GET', `${READ}/3G/4k`);
    const range = { offsetBytes: 3 * 2 ** 30, lengthBytes: 4096 };
    expect(calls.at(-1)?.args[2]).toEqual({ ...range, digest: null, socket: null });
  });

  test.each(['0/0', '0/4194305', '0/5M', '-1/1', '0/1.5k', '0x1/1', '1e3/1', '9007199254740993/1', '%20/1'])(
    'of %s is 400',
    async (range) => {
      const { service, calls } = fakeService();
      await using harness = await httpHarness({ service });
      expect((await request(harness, 'GET', `${READ}/${range}`)).status).toBe(400);
      expect(calls.map((call) => call.name)).toEqual(['access.authenticate']);
    },
  );

  test('releases every piece once, with no more than the limit outstanding', async () => {
    const { ledger, service } = lender(65_536, 64);
    await using harness = await listeningHarness({ service });
    const answer = await fetch(`${harness.address.url}${READ}/0/4M`, { headers: authHeaders() });
    expect((await answer.arrayBuffer()).byteLength).toBe(2 ** 22);
    await eventually(() => ledger.released === 64);
    expect(ledger).toMatchObject({ lent: 0, given: 64 });
    expect(ledger.most).toBeLessThanOrEqual(5);
  });

  test('releases every piece when the client goes away in the middle', async () => {
    const { ledger, service } = lender(2 ** 20, 64);
    await using harness = await listeningHarness({ service });
    using client = rawClient(harness.address);
    client.send(head(`GET ${READ}/0/4M`));
    await client.until('HTTP/1.1 200');
    client.socket.destroy();
    await eventually(() => ledger.lent === 0);
    expect(ledger.released).toBe(ledger.given);
    expect(ledger.given).toBeLessThan(64);
  });

  test('of two pipelined requests releases every piece when the client goes away', async () => {
    const { ledger, service } = lender(2 ** 20, 4);
    await using harness = await listeningHarness({ service });
    using client = rawClient(harness.address);
    client.socket.pause();
    client.send(head(`GET ${READ}/0/4M`) + head(`GET ${READ}/0/4M`));
    await eventually(() => ledger.given > 0);
    client.socket.destroy();
    await eventually(() => ledger.lent === 0);
    expect(ledger.released).toBe(ledger.given);
  });

  test('that fails in the middle of the body cuts the connection, and is logged', async () => {
    let released = 0;
    const read = async () => ({
      digest: NO_DIGEST,
      sentBytes: null,
      pieces: (async function* () {
        yield { bytes: Buffer.alloc(10), release: () => void (released += 1) };
        throw new DriveError('system', 'The pool is away.');
      })(),
    });
    await using harness = await listeningHarness({ service: fakeService({ driveData: { read } }).service });
    using client = rawClient(harness.address);
    client.send(head(`GET ${READ}/0/4M`));
    await client.closed();
    await eventually(() => released === 1);
    expect(harness.lines).toContainEqual(expect.objectContaining({ level: 40, msg: 'a part is away' }));
  });

  test('of a client that takes nothing ends after the limit', async () => {
    const { ledger, service } = lender(2 ** 20, 1000);
    await using harness = await listeningHarness({ service, limits: { outputIdleTimeoutMs: 100 } });
    using client = rawClient(harness.address);
    client.socket.pause();
    client.send(head(`GET ${READ}/0/4M`));
    await eventually(() => ledger.given > 0 && ledger.lent === 0);
    expect(ledger.released).toBe(ledger.given);
  });
});

describe('write', () => {
  /** A service that takes the body in; `check` runs before a byte of it is asked for. */
  function sink(check: (request: DriveWrite) => void = () => undefined) {
    const seen = { requests: [] as DriveWrite[], body: '' };
    const write = async (_actor: unknown, _drive: unknown, request: DriveWrite): Promise<void> => {
      seen.requests.push(request);
      check(request);
      let receivedBytes = 0;
      for await (const chunk of request.body.chunks()) {
        receivedBytes += chunk.length;
        if (receivedBytes <= 1000) seen.body += Buffer.from(chunk).toString('latin1');
      }
      if (receivedBytes !== request.body.lengthBytes) throw new DriveError('usage', 'The body is short.');
    };
    return { seen, service: fakeService({ driveData: { write } }).service };
  }

  test('gives 204 and passes on offset, length, encoding and digest', async () => {
    const { seen, service } = sink();
    await using harness = await httpHarness({ service });
    const sha256 = createHash('sha256').update('abc').digest();
    const headers = {
      'content-encoding': 'GZIP',
      'content-digest': `sha-256=:${sha256.toString('base64')}:`,
    };
    const answer = await request(harness, 'POST', `${WRITE}/1k`, { headers, body: 'abc' });
    expect([answer.status, answer.text]).toEqual([204, '']);
    expect(seen.requests[0]).toMatchObject({
      offsetBytes: 1024,
      encoding: 'gzip',
      digest: { sha256, gmac: null },
    });
    expect(seen.requests[0]?.body.lengthBytes).toBe(3);
    expect(seen.body).toBe('abc');
  });

  test('without an offset begins at 0', async () => {
    const { seen, service } = sink();
    await using harness = await httpHarness({ service });
    await request(harness, 'POST', WRITE, { body: 'abc' });
    expect(seen.requests[0]).toMatchObject({ offsetBytes: 0, encoding: 'identity', digest: NO_DIGEST });
  });

  test('data of any Content-Type is data', async () => {
    const { seen, service } = sink();
    await using harness = await httpHarness({ service });
    const headers = { 'content-type': 'application/json' };
    expect((await request(harness, 'POST', WRITE, { headers, body: '{"size' })).status).toBe(204);
    expect(seen.body).toBe('{"size');
  });

  test.each(['br', 'zstd', 'deflate', 'gzip, gzip'])('with Content-Encoding %s is 400', async (encoding) => {
    await using harness = await httpHarness();
    const headers = { 'content-encoding': encoding };
    const answer = await request(harness, 'POST', WRITE, { headers, body: 'x' });
    expect([answer.status, answer.text]).toEqual([400, expect.stringContaining(encoding)]);
  });

  test.each(['sha-256=abc', 'sha-256=:AQ==:'])('with Content-Digest: %s is 400', async (digest) => {
    await using harness = await httpHarness();
    const headers = { 'content-digest': digest };
    expect((await request(harness, 'POST', WRITE, { headers, body: 'x' })).status).toBe(400);
  });

  test('with Transfer-Encoding: chunked is 400 usage', async () => {
    const { seen, service } = sink();
    await using harness = await listeningHarness({ service });
    using client = rawClient(harness.address);
    client.send(`${head(`POST ${WRITE}`, { 'Transfer-Encoding': 'chunked' })}3\r\nabc\r\n0\r\n\r\n`);
    expect(await client.until('\n\r\n')).toMatch(/^HTTP\/1.1 400 [^]*X-Elastic-Error: usage/);
    expect(seen.requests).toEqual([]);
  });

  test('without Content-Length is 400 usage', async () => {
    await using harness = await listeningHarness();
    using client = rawClient(harness.address);
    client.send(head(`POST ${WRITE}`));
    expect(await client.until('needs Content-Length')).toMatch(/^HTTP\/1.1 400 /);
  });

  test('of more than 64 MiB is 413 before a byte of the body was sent', async () => {
    await using harness = await listeningHarness();
    using client = rawClient(harness.address);
    client.send(head(`POST ${WRITE}`, { 'Content-Length': 64 * 2 ** 20 + 1 }));
    expect(await client.until('larger')).toMatch(/^HTTP\/1.1 413 [^]*X-Elastic-Error: usage/);
  });

  test('that expects 100-continue is told to go on only after the early checks', async () => {
    const { seen, service } = sink(({ offsetBytes }) => {
      if (offsetBytes > 0) throw new DriveError('busy', 'The drive is busy.');
    });
    await using harness = await listeningHarness({ service });
    const headers = { 'Content-Length': 3, Expect: '100-continue' };
    using good = rawClient(harness.address);
    good.send(head(`POST ${WRITE}`, headers));
    expect(await good.until('\r\n\r\n')).toMatch(/^HTTP\/1.1 100 Continue\r\n/);
    good.send('abc');
    await good.until('HTTP/1.1 204');
    expect(seen.body).toBe('abc');
    using busy = rawClient(harness.address);
    busy.send(head(`POST ${WRITE}/1`, headers));
    expect((await busy.closed()).text).toMatch(/^HTTP\/1.1 409 /);
  });

  test.each([
    [401, 'busy', { Authorization: 'Basic nonsense' }],
    [409, 'busy', {}],
  ])(
    'that is refused with %i while its body comes lets the client see the answer',
    async (status, _why, headers) => {
      const { service } = sink(() => {
        throw new DriveError('busy', 'The drive is busy.');
      });
      await using harness = await listeningHarness({ service });
      using client = rawClient(harness.address);
      client.send(head(`POST ${WRITE}`, { ...headers, 'Content-Length': 900_000 }));
      client.send(Buffer.alloc(450_000));
      await client.until(`HTTP/1.1 ${status}`);
      client.send(Buffer.alloc(450_000));
      const { text, isReset } = await client.closed();
      expect(text).toContain('Connection: close');
      expect(isReset).toBe(false);
    },
  );

  test('whose refused body never ends is closed after a bounded part of it', async () => {
    const { service } = sink(() => {
      throw new DriveError('busy', 'The drive is busy.');
    });
    await using harness = await listeningHarness({ service, limits: { drainTimeoutMs: 50 } });
    using client = rawClient(harness.address);
    client.send(head(`POST ${WRITE}`, { 'Content-Length': 60_000_000 }));
    expect((await client.closed()).text).toMatch(/^HTTP\/1.1 409 /);
  });

  test('whose client goes away ends the body early for the service', async () => {
    const { promise, resolve } = Promise.withResolvers<number>();
    const write = async (_actor: unknown, _drive: unknown, { body }: DriveWrite): Promise<void> => {
      let receivedBytes = 0;
      for await (const chunk of body.chunks()) receivedBytes += chunk.length;
      resolve(receivedBytes);
    };
    await using harness = await listeningHarness({ service: fakeService({ driveData: { write } }).service });
    using client = rawClient(harness.address);
    client.send(`${head(`POST ${WRITE}`, { 'Content-Length': 10 })}abc`);
    client.socket.once('ready', () => setImmediate(() => client.socket.destroySoon()));
    expect(await promise).toBeLessThan(10);
  });

  test('whose client stops short but still listens is 400', async () => {
    const { service } = sink();
    await using harness = await listeningHarness({ service });
    using client = rawClient(harness.address);
    client.socket.end(`${head(`POST ${WRITE}`, { 'Content-Length': 10 })}abc`);
    const { text } = await client.closed();
    expect(text).toMatch(/^HTTP\/1.1 400 [^]*X-Elastic-Error: usage[^]*ended before its end/);
  });

  test('that makes no progress is 400 after the limit', async () => {
    const { service } = sink();
    await using harness = await listeningHarness({ service, limits: { bodyIdleTimeoutMs: 50 } });
    using client = rawClient(harness.address);
    client.send(`${head(`POST ${WRITE}`, { 'Content-Length': 10 })}abc`);
    expect((await client.closed()).text).toMatch(/^HTTP\/1.1 400 [^]*too slowly/);
  });

  test('that drips more slowly than the least rate is 400', async () => {
    const { service } = sink();
    let nowMs = 0;
    const clock = { nowMs: () => (nowMs += 20_000) };
    await using harness = await listeningHarness({ service, clock });
    using client = rawClient(harness.address);
    client.send(head(`POST ${WRITE}`, { 'Content-Length': 1000 }));
    const drip = setInterval(() => client.send('x'), 5);
    expect((await client.closed()).text).toMatch(/^HTTP\/1.1 400 [^]*too slowly/);
    clearInterval(drip);
  });

  test('of a slow service is not the client’s fault', async () => {
    const { seen, service } = sink();
    const limits = { bodyIdleTimeoutMs: 1000 };
    const write = async (actor: never, drive: string, request: DriveWrite): Promise<void> => {
      await service.driveData.write(actor, drive, {
        ...request,
        body: {
          lengthBytes: request.body.lengthBytes,
          takeSocket: () => null,
          async *chunks() {
            let pauseMs = 1.5 * limits.bodyIdleTimeoutMs;
            for await (const chunk of request.body.chunks()) {
              await new Promise((resolve) => setTimeout(resolve, pauseMs));
              pauseMs = 0;
              yield chunk;
            }
          },
        },
      });
    };
    const slow = fakeService({ driveData: { write } }).service;
    await using harness = await listeningHarness({ service: slow, limits });
    const body = new Uint8Array(1_000_000);
    const answer = await fetch(`${harness.address.url}${WRITE}`, {
      method: 'POST',
      headers: authHeaders(),
      body,
    });
    expect(answer.status).toBe(204);
    expect(seen.requests).toHaveLength(1);
  });

  test('keeps the connection for the next request', async () => {
    await using harness = await listeningHarness();
    using client = rawClient(harness.address);
    client.send(`${head(`POST ${WRITE}`, { 'Content-Length': 3 })}abc`);
    await client.until('HTTP/1.1 204');
    client.send(head('GET /drives/list'));
    expect(await client.until('HTTP/1.1 200')).not.toContain('Connection: close');
  });
});

describe('map', () => {
  const MAP = `/drives/${DRIVE}/map`;

  test('is one block a line in text and an array in JSON', async () => {
    await using harness = await httpHarness();
    const hash = 'ab'.repeat(32);
    const text = await request(harness, 'GET', `${MAP}?hash=sha256`);
    expect(text.text).toBe(`0 4194304 zero\n4194304 512 data ${hash}\n`);
    const json = await request(harness, 'GET', MAP, { headers: { accept: 'application/json' } });
    expect(JSON.parse(json.text)).toEqual([
      { offset: '0', size: 4194304, zero: 'true' },
      { offset: '4194304', size: 512, sha256: hash },
    ]);
  });

  test('offset, size and hash are passed on; without a size it goes to the end of the drive', async () => {
    const { service, calls } = fakeService();
    await using harness = await httpHarness({ service });
    await request(harness, 'GET', `${MAP}?offset=4M&size=8M&hash=sha256`);
    expect(calls.at(-1)?.args[2]).toEqual({ offsetBytes: 2 ** 22, lengthBytes: 2 ** 23, withHash: true });
    await request(harness, 'GET', MAP);
    expect(calls.at(-1)?.args[2]).toEqual({ offsetBytes: 0, lengthBytes: 4096, withHash: false });
  });

  test.each(['offset=x', 'size=-1', 'hash=md5', 'offset=1T', 'blocks=3'])('?%s is 400', async (query) => {
    await using harness = await httpHarness();
    expect((await request(harness, 'GET', `${MAP}?${query}`)).status).toBe(400);
  });
});

function authHeaders(): Record<string, string> {
  const line = /Authorization: (.*)\r/.exec(head('GET /'))?.[1];
  return { authorization: line ?? '' };
}
