import { createHash, randomBytes, randomInt } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { gmacOf } from '../../src/runtime/gmac.ts';
import { noise } from '../helpers/sample-bytes.ts';
import { ADMIN_AUTH, startServer } from '../helpers/server-process.ts';
import type { ServerProcess } from '../helpers/server-process.ts';
import { rawSocket, requestHead } from './raw-socket.ts';

const MIB = 1024 * 1024;
const GZIP = { 'content-encoding': 'gzip' };
const ZEROS_16_MIB = gzipSync(Buffer.alloc(16 * MIB), { level: 1 });

let server: ServerProcess;

beforeAll(async () => {
  server = await startServer();
});

afterAll(async () => {
  await server[Symbol.asyncDispose]();
});

const digest = (bytes: Uint8Array): string =>
  `sha-256=:${createHash('sha256').update(bytes).digest('base64')}:`;

const gmac = (bytes: Uint8Array): string => `aes-128-gmac=:${gmacOf([bytes]).toString('base64')}:`;

const DIGESTS = [
  ['sha-256', digest],
  ['aes-128-gmac', gmac],
] as const;

describe.each(['aes-xts-plain', 'none'])('on a drive with cipher %s', (cipher) => {
  test('a new drive reads as zeros, to its last byte', async () => {
    const drive = await server.create(`size 1000001\nencryption:cipher ${cipher}`);
    const bytes = await server.read(drive, 0, 1_000_001);
    expect(bytes.length).toBe(1_000_001);
    expect(bytes.every((byte) => byte === 0)).toBe(true);
  });

  test('offsets and sizes take suffixes, and the answer is bare bytes', async () => {
    const drive = await server.create(`size 5M\nencryption:cipher ${cipher}`);
    const data = noise('suffix', 8192);
    expect(await server.write(`${drive}/1M`, data)).toMatchObject({ status: 204, text: '' });
    for (const path of [`read/1M/8k`, 'read/1024K/8192', 'read/1048576/8K']) {
      const answer = await server.get(`/drives/${drive}/${path}`);
      expect(answer.headers['content-type']).toBe('application/octet-stream');
      expect(answer.bytes.equals(data)).toBe(true);
    }
    expect((await server.post(`/drives/${drive}/read/1M/8k`)).bytes.equals(data)).toBe(true);
  });

  test('unaligned writes at the same time, side by side in one sector, do not disturb each other', async () => {
    const sizeBytes = 20_000 + randomInt(1000);
    const drive = await server.create(`size ${sizeBytes}\nencryption:cipher ${cipher}`);
    const model = Buffer.alloc(sizeBytes);
    for (let round = 0; round < 12; round += 1) {
      const cuts = [0, sizeBytes, ...Array.from({ length: 60 }, () => randomInt(sizeBytes))];
      const edges = [...new Set(cuts)].toSorted((a, b) => a - b);
      const writes = edges.slice(1).map(async (end, index) => {
        const start = edges[index] ?? 0;
        randomBytes(end - start).copy(model, start);
        const answer = await server.write(`${drive}/${start}`, model.subarray(start, end));
        expect(answer.status).toBe(204);
      });
      await Promise.all(writes);
      expect((await server.read(drive, 0, sizeBytes)).equals(model), `cuts ${edges.join(' ')}`).toBe(true);
    }
  });
});

describe('a write that is refused changes not a byte', () => {
  const sizeBytes = 3 * MIB + 100;
  const before = noise('before', sizeBytes);
  const gzip = gzipSync(noise('after', 3 * MIB), { level: 1 });
  const wrongSum = Buffer.from(gzip);
  wrongSum.writeUInt32LE(~wrongSum.readUInt32LE(gzip.length - 8) >>> 0, gzip.length - 8);
  const large = noise('large', MIB);
  const bomb = Buffer.concat(Array.from({ length: 40 }, () => ZEROS_16_MIB));

  async function expectRefused(
    write: { readonly data: Uint8Array; readonly offset?: string; readonly headers?: Record<string, string> },
    status: number,
  ): Promise<void> {
    const drive = await server.create(`size ${sizeBytes}`);
    await server.write(drive, before);
    const path = write.offset === undefined ? drive : `${drive}/${write.offset}`;
    const answer = await server.write(path, write.data, write.headers);
    expect([answer.status, answer.headers['x-elastic-error']?.toString().split(' ')[0]]).toEqual([
      status,
      'usage',
    ]);
    expect((await server.read(drive, 0, sizeBytes)).equals(before)).toBe(true);
    expect(await server.info(drive)).toMatchObject({ 'write:bytes': `${sizeBytes}`, 'write:requests': '1' });
  }

  test.each<[string, Parameters<typeof expectRefused>[0], number]>([
    ['past the end', { data: noise('x', 100), offset: `${sizeBytes - 99}` }, 400],
    ['past the end by far', { data: noise('x', 100), offset: '4T' }, 400],
    ['past the end once unpacked', { data: gzip, offset: '101', headers: GZIP }, 400],
    ['gzip that is not gzip', { data: noise('x', 4096), headers: GZIP }, 400],
    ['an empty gzip body', { data: Buffer.alloc(0), headers: GZIP }, 400],
    ['gzip cut short', { data: gzip.subarray(0, gzip.length - 1), headers: GZIP }, 400],
    ['gzip cut in half', { data: gzip.subarray(0, gzip.length / 2), headers: GZIP }, 400],
    ['gzip with a wrong sum', { data: wrongSum, headers: GZIP }, 400],
    ['gzip with garbage after it', { data: Buffer.concat([gzip, noise('x', 64)]), headers: GZIP }, 400],
    [
      'a second member that is cut',
      { data: Buffer.concat([gzip, gzip.subarray(0, 99)]), headers: GZIP },
      400,
    ],
    ['a bomb', { data: bomb, headers: GZIP }, 413],
    ['an unknown encoding', { data: gzip, headers: { 'content-encoding': 'br' } }, 400],
    ['two encodings', { data: gzip, headers: { 'content-encoding': 'gzip, gzip' } }, 400],
    ['chunks', { data: noise('x', 100), headers: { 'transfer-encoding': 'chunked' } }, 400],
    ['the GMAC of other bytes', { data: large, headers: { 'content-digest': gmac(gzip) } }, 400],
    ['the digest of other bytes', { data: noise('x', 99), headers: { 'content-digest': digest(gzip) } }, 400],
    [
      'one digest of two',
      { data: large, headers: { 'content-digest': `${digest(large)}, ${gmac(gzip)}` } },
      400,
    ],
    ['a digest that is none', { data: noise('x', 99), headers: { 'content-digest': 'sha-256=:AA==:' } }, 400],
    ['an offset that is none', { data: noise('x', 99), offset: '1.5k' }, 400],
    ['a negative offset', { data: noise('x', 99), offset: '-1' }, 400],
  ])('%s', async (_title, write, status) => {
    await expectRefused(write, status);
  });

  test('a body that ends before its length', async () => {
    const drive = await server.create(`size ${sizeBytes}`);
    await server.write(drive, before);
    const head = requestHead(ADMIN_AUTH, `POST /drives/${drive}/write`, [`Content-Length: ${2 * MIB}`]);
    using raw = await rawSocket(server.port, head);
    raw.socket.end(Buffer.alloc(MIB, 0x55));
    expect(await raw.untilClosed()).toMatch(/^HTTP\/1.1 400 [^]*X-Elastic-Error: usage/i);
    expect((await server.read(drive, 0, sizeBytes)).equals(before)).toBe(true);
  });

  test('a body of 64 MiB and a byte, before it has come', async () => {
    const drive = await server.create('size 1T');
    const head = [`Content-Length: ${64 * MIB + 1}`];
    using raw = await rawSocket(server.port, requestHead(ADMIN_AUTH, `POST /drives/${drive}/write`, head));
    expect(await raw.untilClosed()).toMatch(/^HTTP\/1.1 413 [^]*X-Elastic-Error: usage/i);
  });

  test('a body without a length', async () => {
    const drive = await server.create('size 1k');
    const close = ['Connection: close'];
    using raw = await rawSocket(server.port, requestHead(ADMIN_AUTH, `POST /drives/${drive}/write`, close));
    expect(await raw.untilClosed()).toMatch(/^HTTP\/1.1 400 /);
    expect((await server.read(drive, 0, 4)).equals(Buffer.alloc(4))).toBe(true);
  });
});

test('gzip bodies of one member or several are written unpacked, where the offset says', async () => {
  const drive = await server.create('size 9M');
  const data = noise('members', 3 * MIB + 17);
  const halves = [data.subarray(0, MIB), data.subarray(MIB)].map((half) => gzipSync(half, { level: 1 }));
  for (const [offset, body] of [
    [3, gzipSync(data, { level: 1 })],
    [4 * MIB + 5, Buffer.concat(halves)],
  ] as const) {
    const headers = { ...GZIP, 'content-digest': digest(body) };
    expect((await server.write(`${drive}/${offset}`, body, headers)).status).toBe(204);
    expect((await server.read(drive, offset, data.length)).equals(data)).toBe(true);
  }
  expect(await server.info(drive)).toMatchObject({ 'write:bytes': `${2 * data.length}` });
});

test('a write of 64 MiB is taken, and so is a gzip that unpacks to it', async () => {
  const drive = await server.create('size 64M');
  const data = Buffer.alloc(64 * MIB, 'all of it ');
  expect((await server.write(drive, data, { 'content-digest': digest(data) })).status).toBe(204);
  const zeros = Buffer.concat(Array.from({ length: 4 }, () => ZEROS_16_MIB));
  expect((await server.read(drive, 63 * MIB, MIB)).equals(data.subarray(63 * MIB))).toBe(true);
  expect((await server.write(drive, zeros, GZIP)).status).toBe(204);
  expect((await server.read(drive, 63 * MIB, MIB)).every((byte) => byte === 0)).toBe(true);
});

test.each(DIGESTS)(
  'of large writes at the same time, only those whose %s does not match are refused',
  async (_algorithm, digestOf) => {
    const drive = await server.create('size 32M');
    const pieces = Array.from({ length: 8 }, (_, index) => noise(`piece ${index}`, 3 * MIB + 1000 * index));
    const isBad = (index: number): boolean => index % 3 === 1;
    const answers = await Promise.all(
      pieces.map((piece, index) => {
        const headers = { 'content-digest': digestOf(isBad(index) ? Buffer.from('other bytes') : piece) };
        return server.write(`${drive}/${index * 4 * MIB}`, piece, headers);
      }),
    );
    expect(answers.map(({ status }) => status)).toEqual(pieces.map((_, index) => (isBad(index) ? 400 : 204)));
    const reads = await Promise.all(
      pieces.map((piece, index) => server.read(drive, index * 4 * MIB, piece.length)),
    );
    const expected = pieces.map((piece, index) => (isBad(index) ? Buffer.alloc(piece.length) : piece));
    expect(reads.map((bytes, index) => expected[index]?.equals(bytes))).toEqual(pieces.map(() => true));
  },
);

test.each(DIGESTS)(
  'of large reads at the same time, each has the %s of its own bytes',
  async (algorithm, digestOf) => {
    const drive = await server.create('size 8M');
    await server.write(drive, noise('to be hashed', 8 * MIB));
    const headers = { 'want-content-digest': `${algorithm}=1` };
    const sizes = [4 * MIB, 3 * MIB + 77, 100, 4 * MIB, MIB, 2 * MIB - 1];
    const answers = await Promise.all(
      sizes.map((size, index) => server.send({ path: `/drives/${drive}/read/${index}/${size}`, headers })),
    );
    expect(answers.map(({ headers }) => headers['content-digest'])).toEqual(
      answers.map(({ bytes }) => digestOf(bytes)),
    );
  },
);

test('counters count what was read and written, and refused calls not', async () => {
  const drive = await server.create('size 1M');
  await server.write(drive, noise('a', 1000));
  await server.write(`${drive}/999k`, noise('b', 24));
  await server.read(drive, 0, 5000);
  for (const path of ['read/0/0', 'read/1M/1', 'read/0/4194305']) {
    expect((await server.get(`/drives/${drive}/${path}`)).status).toBe(400);
  }
  expect(await server.info(drive)).toMatchObject({
    'write:bytes': '1024',
    'write:requests': '2',
    'read:bytes': '5000',
    'read:requests': '1',
  });
});

test.each(['read/0/0', 'read/0/4194305', 'read/0/5M', 'read/0/-1', 'read/-1/1', 'read/0/1.5k', 'read/0x1/1'])(
  '%s is refused',
  async (path) => {
    const drive = await server.create('size 8M');
    expect(await server.get(`/drives/${drive}/${path}`)).toMatchObject({ status: 400 });
  },
);

test('a read up to the last byte is answered, and one past it refused', async () => {
  const drive = await server.create('size 4194305');
  expect((await server.get(`/drives/${drive}/read/1/4M`)).bytes.length).toBe(4 * MIB);
  expect((await server.get(`/drives/${drive}/read/2/4M`)).status).toBe(400);
  expect((await server.get(`/drives/${drive}/read/4194305/1`)).status).toBe(400);
});
