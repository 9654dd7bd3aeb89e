import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { DRIVE, fakeService } from '../../test/helpers/fake-service.ts';
import { httpHarness, request } from '../../test/helpers/http-harness.ts';
import { NO_DIGEST } from '../core/body-digest.ts';
import type { DigestAlgorithm } from '../core/body-digest.ts';
import { parseContentDigest, renderContentDigest, wantedDigest } from './content-digest.ts';

const READ = `/drives/${DRIVE}/read`;

describe('Content-Digest', () => {
  const sha256 = new Uint8Array(32).fill(7);
  const rendered = renderContentDigest({ sha256, gmac: null });

  test.each([
    ['alone', rendered],
    [
      'beside other algorithms',
      `sha-512=:${Buffer.alloc(64).toString('base64')}:, ${rendered}, unixsum=:AQ==:`,
    ],
    ['with a parameter', `${rendered};a=1`],
    ['given again, which the last one wins', `sha-256=:${Buffer.alloc(32).toString('base64')}:,${rendered}`],
  ])('sha-256 is taken %s', (_how, header) => {
    expect(parseContentDigest(header)).toEqual({ sha256: Buffer.from(sha256), gmac: null });
  });

  test('aes-128-gmac is taken alone and beside sha-256', () => {
    const gmac = Buffer.alloc(16, 5);
    const header = `aes-128-gmac=:${gmac.toString('base64')}:`;
    expect(parseContentDigest(header)).toEqual({ sha256: null, gmac });
    expect(parseContentDigest(`${header}, ${rendered}`)).toEqual({ sha256: Buffer.from(sha256), gmac });
  });

  test('other algorithms are passed over', () => {
    expect(parseContentDigest('md5=:AQ==:, constructor=:AQ==:')).toEqual(NO_DIGEST);
    expect(parseContentDigest(undefined)).toEqual(NO_DIGEST);
  });

  test.each([
    '',
    'sha-256',
    'sha-256=AQ==',
    'sha-256=:AQ==:',
    'sha-256=:!:',
    'aes-128-gmac=:AQ==:',
    'md5=:A:',
    `${rendered},`,
    'md5=::',
  ])('the malformed header "%s" is refused', (header) => {
    expect(() => parseContentDigest(header)).toThrow('malformed');
  });

  test.each([
    ['sha-256=1', 'sha-256'],
    ['aes-128-gmac=1', 'aes-128-gmac'],
    ['sha-512=3, sha-256=10', 'sha-256'],
    ['aes-128-gmac=2, sha-256=10', 'sha-256'],
    ['sha-256=9, aes-128-gmac=10', 'aes-128-gmac'],
    ['sha-256=9, aes-128-gmac=9', 'sha-256'],
    ['aes-128-gmac=0, sha-256=1', 'sha-256'],
    ['sha-256=0', null],
    ['sha-512=1', null],
    ['nonsense', null],
  ])('Want-Content-Digest: %s wants %s', (header, wanted) => {
    expect(wantedDigest(header)).toBe(wanted);
  });

  test('both digests are told of in one header', () => {
    const digest = { sha256: Buffer.from(sha256), gmac: Buffer.alloc(16, 5) };
    expect(parseContentDigest(renderContentDigest(digest))).toEqual(digest);
    expect(renderContentDigest(NO_DIGEST)).toBe('');
  });
});

test('a read gives Content-Digest when Want-Content-Digest asks for it', async () => {
  const bytes = Buffer.from('some bytes');
  const sha256 = createHash('sha256').update(bytes).digest();
  const gmac = Buffer.alloc(16, 9);
  const read = async (_actor: unknown, _drive: unknown, { digest }: { digest: DigestAlgorithm | null }) => ({
    digest: {
      sha256: digest === 'sha-256' ? sha256 : null,
      gmac: digest === 'aes-128-gmac' ? gmac : null,
    },
    sentBytes: null,
    pieces: (async function* () {
      yield { bytes, release: () => undefined };
    })(),
  });
  await using harness = await httpHarness({ service: fakeService({ driveData: { read } }).service });
  const digestFor = async (headers: Record<string, string>): Promise<unknown> =>
    (await request(harness, 'GET', `${READ}/0/10`, { headers })).headers['content-digest'];
  const hash = `sha-256=:${sha256.toString('base64')}:`;
  expect(await digestFor({ 'want-content-digest': 'sha-256=5' })).toBe(hash);
  const mac = `aes-128-gmac=:${gmac.toString('base64')}:`;
  expect(await digestFor({ 'want-content-digest': 'aes-128-gmac=1' })).toBe(mac);
  expect(await digestFor({})).toBeUndefined();
});
