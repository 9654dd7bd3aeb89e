import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { formatNbdUri, type NbdUri, parseNbdUri } from './nbd-uri.ts';

const tcp = (host: string, port: number, isTls = false): NbdUri['endpoint'] => ({
  kind: 'tcp',
  host,
  port,
  isTls,
});
const unix = (socketPath: string, isTls = false): NbdUri['endpoint'] => ({ kind: 'unix', socketPath, isTls });

test.each([
  ['nbd://example.com/disk', tcp('example.com', 10_809), 'disk'],
  ['nbd://example.com:8601/disk', tcp('example.com', 8601), 'disk'],
  ['nbds://10.0.0.1:8601/disk', tcp('10.0.0.1', 8601, true), 'disk'],
  ['nbd://[::1]:8601/a%20b%2Fc', tcp('::1', 8601), 'a b/c'],
  ['nbd+unix:///disk?socket=/run/nbd.sock', unix('/run/nbd.sock'), 'disk'],
  ['nbds+unix:///disk?socket=/run/a%20b%26c.sock', unix('/run/a b&c.sock', true), 'disk'],
])('%s is what it says, both ways', (text, endpoint, exportName) => {
  expect(parseNbdUri(text)).toEqual({ endpoint, exportName });
  expect(formatNbdUri({ endpoint, exportName })).toBe(text);
});

test.each([
  ['nbd://example.com', tcp('example.com', 10_809), ''],
  ['nbd://example.com/', tcp('example.com', 10_809), ''],
  ['nbd://example.com//disk', tcp('example.com', 10_809), '/disk'],
  ['NBD://example.com:10809/a+b', tcp('example.com', 10_809), 'a+b'],
  ['nbd+unix:///?socket=nbd.sock', unix('nbd.sock'), ''],
])('%s is understood', (text, endpoint, exportName) => {
  expect(parseNbdUri(text)).toEqual({ endpoint, exportName });
});

test.each([
  ['', 'x', 'http://example.com/disk', 'nbd:example.com:10809:exportname=disk', 'nbd:///disk'],
  ['nbd://example.com:0/disk', 'nbd://example.com:65536/disk', 'nbd://example.com:/disk'],
  ['nbd://user@example.com/disk', 'nbd://example.com/disk#part', 'nbd://exa mple.com/disk'],
  ['nbd://::1/disk', 'nbd://[::1/disk', 'nbd://[1.2.3.4]/disk', 'nbd://-a/disk'],
  ['nbd://example.com/%', 'nbd://example.com/%ff', 'nbd://example.com/%00', `nbd://a/${'a'.repeat(4097)}`],
  ['nbd://example.com/disk?socket=/run/s', 'nbd://example.com/disk?x-option=1', 'nbd+unix:///disk'],
  ['nbd+unix:///disk?socket=', 'nbd+unix:///disk?sock=/run/s', 'nbd+unix:///disk?socket=/run/s&tls-type=psk'],
  ['nbd+unix://host/disk?socket=/run/s', 'nbd+unix:///disk?socket=%ff'],
])('what is not such a URI, or says more than is understood, is none', (...texts) => {
  for (const text of texts) expect([text, parseNbdUri(text)]).toEqual([text, null]);
});

test('every name and path survives being written and read', () => {
  const text = fc.string({ unit: 'grapheme', maxLength: 60 }).filter((name) => !name.includes('\0'));
  const path = text.filter((name) => name !== '');
  const endpoint = fc.oneof(
    fc.tuple(path, fc.boolean()).map(([socketPath, isTls]) => unix(socketPath, isTls)),
    fc
      .tuple(fc.oneof(fc.ipV4(), fc.ipV6(), fc.domain()), fc.integer({ min: 1, max: 65_535 }), fc.boolean())
      .map(([host, port, isTls]) => tcp(host, port, isTls)),
  );
  fc.assert(
    fc.property(endpoint, text, (end, exportName) => {
      expect(parseNbdUri(formatNbdUri({ endpoint: end, exportName }))).toEqual({ endpoint: end, exportName });
    }),
  );
});
