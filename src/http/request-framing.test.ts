import { once } from 'node:events';
import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { connect } from 'node:net';
import type { AddressInfo } from 'node:net';
import * as fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { frameOf } from './request-framing.ts';

const WRITE = '/drives/aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa/write';

function headOf(requestLine: string, ...lines: readonly string[]): string {
  return `${[requestLine, 'Host: x', ...lines].join('\r\n')}\r\n\r\n`;
}

const post = (...lines: readonly string[]): string => headOf(`POST ${WRITE} HTTP/1.1`, ...lines);

describe('a head that leaves room for doubt is unclear', () => {
  test.each([
    ['two lengths', post('Content-Length: 5', 'Content-Length: 5')],
    ['two lengths, one of them in lower case', post('Content-Length: 5', 'content-length: 6')],
    ['a list of lengths', post('Content-Length: 5, 5')],
    ['an empty length', post('Content-Length:')],
    ['a signed length', post('Content-Length: +5')],
    ['a negative length', post('Content-Length: -5')],
    ['a length in hex', post('Content-Length: 0x5')],
    ['a length followed by a space', post('Content-Length: 5 ')],
    ['a length of more digits than numbers can hold', post('Content-Length: 99999999999999999999')],
    ['Transfer-Encoding', post('Transfer-Encoding: chunked')],
    ['Transfer-Encoding besides a length', post('Content-Length: 5', 'Transfer-Encoding: chunked')],
    ['Transfer-Encoding of nothing', post('transfer-encoding: identity')],
    ['Upgrade', post('Connection: upgrade', 'Upgrade: websocket')],
    ['Trailer', post('Trailer: Digest')],
    ['a folded header', post('X-A: b', ' c')],
    ['a folded length', post('Content-Length:', ' 5')],
    ['a line that ends with LF alone', post('X-A: b\nContent-Length: 5')],
    ['CR within a line', post('X-A: b\rContent-Length: 5')],
    ['a space before the colon', post('Content-Length : 5')],
    ['a space before the name', post(' Content-Length: 5')],
    ['a header without a name', post(': 5')],
    ['a header without a colon', post('Content-Length 5')],
    ['a NUL in a value', post('X-A: \0')],
    ['a tab in a value', post('X-A: b\tc')],
    ['an empty line before the request', `\r\n${post('Content-Length: 5')}`],
    ['HTTP/1.0', headOf(`POST ${WRITE} HTTP/1.0`, 'Content-Length: 5')],
    ['HTTP/2.0', headOf(`POST ${WRITE} HTTP/2.0`, 'Content-Length: 5')],
    ['a method in lower case', headOf(`post ${WRITE} HTTP/1.1`, 'Content-Length: 5')],
    ['two spaces in the request line', headOf(`POST  ${WRITE} HTTP/1.1`, 'Content-Length: 5')],
    ['a request line without a version', headOf(`POST ${WRITE}`)],
    ['an absolute URI', headOf(`POST http://x${WRITE} HTTP/1.1`, 'Content-Length: 5')],
    ['an asterisk', headOf('OPTIONS * HTTP/1.1')],
    ['CONNECT', headOf('CONNECT /x HTTP/1.1')],
    ['bytes beyond ASCII in the path', headOf('GET /\xe9 HTTP/1.1')],
  ])('%s', (_what, head) => {
    expect(frameOf(head)).toEqual({ kind: 'unclear' });
  });
});

describe('a plain head', () => {
  test.each([
    ['without a length has no body', headOf('GET /drives/list HTTP/1.1'), 0],
    ['may have any name in any case', headOf('GET / HTTP/1.1', 'cOnTeNt-LeNgTh:7'), 7],
    ['may have a tab before the value', headOf('GET / HTTP/1.1', 'Content-Length:\t7'), 7],
    ['may have a length with zeros before it', headOf('POST / HTTP/1.1', 'Content-Length: 007'), 7],
    ['may have values beyond ASCII', headOf('GET / HTTP/1.1', 'X-A: \xe9'), 0],
    ['may have empty values', headOf('GET / HTTP/1.1', 'X-A:'), 0],
    ['is a write of nothing', post('Content-Length: 0'), 0],
    ['is a write without a length', post(), 0],
    ['is one for write that is no POST', headOf(`PUT ${WRITE} HTTP/1.1`, 'Content-Length: 5'), 5],
    ['is a POST elsewhere', headOf('POST /drives/create HTTP/1.1', 'Content-Length: 5'), 5],
    ['is a POST behind a write', headOf(`POST ${WRITE}/0/1 HTTP/1.1`, 'Content-Length: 5'), 5],
    ['is a POST to a drive without a name', headOf('POST /drives//write HTTP/1.1', 'Content-Length: 5'), 5],
  ])('%s', (_what, head, bodyBytes) => {
    expect(frameOf(head)).toEqual({ kind: 'plain', bodyBytes });
  });
});

describe('a write', () => {
  test.each([WRITE, `${WRITE}/4096`, `${WRITE}/`, `${WRITE}/1k?x=1`, '/drives/x/write/%zz'])(
    'to %s is told, and what is left of its head has the same size and no body',
    (path) => {
      const head = headOf(
        `POST ${path} HTTP/1.1`,
        'x-content-length: 9',
        'content-length:  1200',
        'X-B: 1200',
      );
      expect(frameOf(head)).toEqual({
        kind: 'write',
        bodyBytes: 1200,
        headWithoutBody: head.replace('length:  1200', 'length:  0000'),
      });
    },
  );

  test('of the longest length that is clear is told', () => {
    expect(frameOf(post('Content-Length: 999999999999999'))).toMatchObject({
      bodyBytes: 999_999_999_999_999,
    });
  });
});

/** What Node's parser makes of a request with this body, and whether it finds the next one behind it. */
interface Parsed {
  readonly requests: readonly { readonly line: string; readonly bodyBytes: number }[];
}

describe("Node's parser", () => {
  const server = createServer({ requireHostHeader: false, keepAliveTimeout: 0 });
  const seen = new Map<string, { line: string; bodyBytes: number }[]>();

  beforeAll(async () => {
    const handle = (req: IncomingMessage, res: ServerResponse): void => {
      const entry = { line: `${req.method} ${req.url}`, bodyBytes: 0 };
      seen.get(`${req.socket.remotePort}`)?.push(entry);
      req.on('data', (chunk: Buffer) => void (entry.bodyBytes += chunk.byteLength));
      req.on('end', () => res.end());
    };
    server.on('request', handle);
    server.on('checkContinue', handle);
    server.on('checkExpectation', handle);
    server.on('clientError', (_error, socket) => socket.destroy());
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
  });

  afterAll(() => server.close());

  async function parse(text: string): Promise<Parsed> {
    const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
    await once(socket, 'connect');
    const requests: { line: string; bodyBytes: number }[] = [];
    const key = `${socket.localPort}`;
    seen.set(key, requests);
    socket.on('error', () => undefined);
    socket.resume();
    socket.write(`${text}GET /behind HTTP/1.1\r\nConnection: close\r\n\r\n`, 'latin1');
    await once(socket, 'close');
    seen.delete(key);
    return { requests };
  }

  const pick = (...values: readonly string[]): fc.Arbitrary<string> => fc.constantFrom(...values);
  const line = fc
    .tuple(
      pick('GET', 'POST', 'POST', 'PUT', 'DELETE', 'QUERY', 'FROB', 'post', 'HEAD'),
      pick(' ', ' ', ' ', ' ', ' ', ' ', '  ', '\t'),
      pick(
        WRITE,
        `${WRITE}/0`,
        `${WRITE}/1/2`,
        '/',
        '//',
        '/a b',
        '*',
        'http://h/x',
        '/%',
        '/#a',
        '/\xe9',
        '/?a=b',
      ),
      pick(' HTTP/1.1', ' HTTP/1.1', ' HTTP/1.1', ' HTTP/1.0', '', ' HTTP/1.1 ', ' http/1.1', ' HTTP/1.10'),
    )
    .map((parts) => parts.join(''));
  const header = fc.oneof(
    fc
      .tuple(
        pick('Content-Length', 'content-length', 'CONTENT-LENGTH', 'Content-Length ', ' Content-Length'),
        pick(':', ': ', ':\t', ' : ', ''),
        pick(
          '0',
          '1',
          '5',
          '05',
          '3 ',
          ' 4',
          '+5',
          '5,5',
          '5, 5',
          '',
          '0x5',
          '5\0',
          '5;q=1',
          '18446744073709551621',
        ),
      )
      .map((parts) => parts.join('')),
    pick(
      'Transfer-Encoding: chunked',
      'transfer-encoding:identity',
      'Connection: keep-alive',
      'Expect: 100-continue',
      'Upgrade: x',
      'X-A: b',
      'X-A:',
      'X-A: b\tc',
      'X-A: \xff',
      'X-A: \x01',
      'X-A: b\nX-C: d',
      ' folded',
      '',
      'X_B.c!#$%&*+^`|~: ok',
      'X(A): b',
      'Trailer: X',
      'no colon',
    ),
  );
  const goodLine = pick(`POST ${WRITE}/7 HTTP/1.1`, 'GET /x HTTP/1.1');
  const goodHeader = pick('Content-Length: 5', 'content-length:012', 'X-A: b', 'Host: h');
  const heads = fc
    .tuple(fc.oneof(goodLine, line), fc.array(fc.oneof(goodHeader, header), { maxLength: 4 }))
    .map(([first, lines]) => `${[first, ...lines].join('\r\n')}\r\n\r\n`)
    // The head is what lies before the first empty line.
    .map((text) => text.slice(0, text.indexOf('\r\n\r\n') + 4));

  test('sees every head that is called clear as it is framed here, and finds the next one behind it', async () => {
    const framed = { plain: 0, write: 0 };
    const property = fc.asyncProperty(heads, async (head) => {
      const frame = frameOf(head);
      if (frame.kind === 'unclear' || head.startsWith('FROB')) return;
      framed[frame.kind] += 1;
      const [, method, path] = /^(\S+) (\S+) /.exec(head) ?? [];
      const request = { line: `${method} ${path}`, bodyBytes: frame.bodyBytes };
      const behind = { line: 'GET /behind', bodyBytes: 0 };
      const { requests } = await parse(head + 'x'.repeat(frame.bodyBytes));
      expect(requests).toEqual([request, behind]);
      if (frame.kind !== 'write') return;
      expect(frame.headWithoutBody).toHaveLength(head.length);
      expect((await parse(frame.headWithoutBody)).requests).toEqual([{ ...request, bodyBytes: 0 }, behind]);
    });
    await fc.assert(property, { numRuns: 4000 });
    expect(framed.plain).toBeGreaterThan(200);
    expect(framed.write).toBeGreaterThan(50);
  });
});
