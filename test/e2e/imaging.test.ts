import { execFileSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { image, noise } from '../helpers/sample-bytes.ts';
import { startServer } from '../helpers/server-process.ts';
import type { ServerProcess } from '../helpers/server-process.ts';
import { imagingEnd, runImaging } from './imaging-run.ts';

const MIB = 1024 * 1024;
const DATA = image('dzd', 777);
const GZIPPED = tool('gzip', ['-1c'], DATA);
let server: ServerProcess;

beforeAll(async () => {
  server = await startServer({ args: ['--imaging-parallel', '1', '--imaging-threads', '1'] });
});

afterAll(async () => {
  await server[Symbol.asyncDispose]();
});

function tool(command: string, args: readonly string[], input: Uint8Array): Buffer {
  return execFileSync(command, args, { input, maxBuffer: 1024 * MIB, stdio: ['pipe', 'pipe', 'pipe'] });
}

/** A drive that begins with these bytes, and is larger when asked for. */
async function driveWith(bytes: Uint8Array, pairs = '', sizeBytes = bytes.length): Promise<string> {
  const drive = await server.create(`size ${sizeBytes}\n${pairs}`);
  expect((await server.write(drive, bytes)).status).toBe(204);
  return drive;
}

async function expectBytes(drive: string, expected: Buffer, sizeBytes: number): Promise<void> {
  const bytes = await server.read(drive, 0, sizeBytes);
  expect(bytes.subarray(0, expected.length).equals(expected)).toBe(true);
  expect(bytes.subarray(expected.length).every((byte) => byte === 0)).toBe(true);
}

describe.each([
  ['aes-xts-plain', 'aes-xts-plain'],
  ['none', 'aes-xts-plain'],
  ['aes-xts-plain', 'none'],
  ['none', 'none'],
])('from cipher %s to %s', (from, to) => {
  const target = async () => driveWith(noise('old', 14 * MIB), `encryption:cipher ${to}`);
  const source = async (bytes: Uint8Array) =>
    driveWith(bytes, `encryption:cipher ${from}`, bytes.length + 1000);

  test('a plain copy gives the bytes of the source, and zeros after them', async () => {
    const [a, b] = [await source(DATA), await target()];
    expect(await runImaging(server, { source: a, target: b })).not.toHaveProperty('imaging:error');
    await expectBytes(b, DATA, 14 * MIB);
  });

  test.each([
    ['gunzip', () => Buffer.concat([GZIPPED, Buffer.alloc(500)])],
    [
      'gunzip',
      () =>
        Buffer.concat([
          tool('gzip', ['-c'], DATA.subarray(0, MIB)),
          tool('gzip', ['-c'], DATA.subarray(MIB)),
        ]),
    ],
    ['unzstd', () => tool('zstd', ['-qc'], DATA)],
  ])('%s unpacks what the tool has packed', async (conversion, pack) => {
    const [a, b] = [await source(pack()), await target()];
    expect(await runImaging(server, { source: a, target: b, conversion })).not.toHaveProperty(
      'imaging:error',
    );
    await expectBytes(b, DATA, 14 * MIB);
  });

  test.each([
    ['gzip', ['gzip', '-dc']],
    ['zstd', ['zstd', '-qdc']],
  ])('%s packs what the tool unpacks', async (conversion, [command = '', ...args]) => {
    const [a, b] = [await source(DATA), await target()];
    expect(await runImaging(server, { source: a, target: b, conversion })).not.toHaveProperty(
      'imaging:error',
    );
    const packed = await server.read(b, 0, 14 * MIB);
    const end = packed.findLastIndex((byte) => byte !== 0) + 1;
    // The checksum at the end of the stream may itself end in zero bytes.
    const unpacked = [0, 1, 2, 3, 4, 5, 6, 7].map((more) => {
      try {
        return tool(command, args, packed.subarray(0, end + more));
      } catch {
        return null;
      }
    });
    const expected = Buffer.concat([DATA, Buffer.alloc(1000)]);
    expect(unpacked.some((bytes) => bytes?.equals(expected))).toBe(true);
  });
});

test('a source of 100 GiB that holds 1 MiB is copied with its holes', async () => {
  const source = await server.create('size 100G');
  await server.write(`${source}/70G`, noise('far', MIB));
  const target = await server.create('size 101G');
  await runImaging(server, { source, target });
  expect((await server.read(target, 70 * 1024 * MIB, MIB)).equals(noise('far', MIB))).toBe(true);
  expect((await server.read(target, 0, MIB)).every((byte) => byte === 0)).toBe(true);
});

describe('refused at once, and nothing happens', () => {
  test('the same drive twice', async () => {
    const drive = await driveWith(noise('same', 1000));
    expect(await server.post(`/drives/${drive}/image/${drive}`)).toMatchObject({ status: 400 });
    expect(await server.info(drive)).not.toHaveProperty('claimed');
  });

  test('unknown drives and conversions, as 404', async () => {
    const drive = await server.create('size 1k');
    for (const path of [`${drive}/image/${randomUUID()}`, `${randomUUID()}/image/${drive}`]) {
      const answer = await server.post(`/drives/${path}`);
      expect([answer.status, answer.text]).toEqual([404, expect.stringContaining('could not be found')]);
    }
    const other = await server.create('size 1k');
    for (const conversion of ['bzip2', 'GZIP', 'gzip/gzip', '']) {
      expect((await server.post(`/drives/${drive}/image/${other}/${conversion}`)).status).toBe(404);
    }
  });

  test('a plain copy that does not fit', async () => {
    const [source, target] = [await driveWith(noise('big', 1001)), await driveWith(noise('small', 1000))];
    expect((await server.post(`/drives/${target}/image/${source}`)).status).toBe(400);
    await expectBytes(target, noise('small', 1000), 1000);
  });
});

describe('a failed imaging', () => {
  const corrupt = Buffer.from(GZIPPED);
  corrupt.writeUInt32LE(~corrupt.readUInt32LE(corrupt.length - 8) >>> 0, corrupt.length - 8);
  const zstd = tool('zstd', ['-qc'], DATA);

  test.each<[string, string, Buffer, number]>([
    ['not gzip', 'gunzip', noise('no gzip', 5000), 16 * MIB],
    ['nothing but zeros', 'gunzip', Buffer.alloc(5000), 16 * MIB],
    ['a wrong checksum', 'gunzip', corrupt, 16 * MIB],
    ['a cut stream', 'gunzip', GZIPPED.subarray(0, GZIPPED.length - 9), 16 * MIB],
    ['more than fits', 'gunzip', GZIPPED, DATA.length - 1],
    ['not zstd', 'unzstd', GZIPPED, 16 * MIB],
    ['a cut stream', 'unzstd', zstd.subarray(0, zstd.length - 9), 16 * MIB],
    ['more than fits', 'unzstd', zstd, DATA.length - 1],
    ['more than fits', 'gzip', noise('incompressible', 50_000), 40_000],
    ['more than fits', 'zstd', noise('incompressible', 50_000), 40_000],
  ])(
    '%s in %s: imaging:error says why, and the claims are gone',
    async (_title, conversion, bytes, sizeBytes) => {
      const [source, target] = [await driveWith(bytes), await server.create(`size ${sizeBytes}`)];
      const info = await runImaging(server, { source, target, conversion });
      expect(info['imaging:error']).toMatch(/\w+ \w+/);
      expect(info).not.toHaveProperty('claimed');
      expect(await server.info(source)).not.toHaveProperty('claimed');
      expect((await server.get(`/drives/${target}/info`)).text).toMatch(/^imaging:error \w+/m);
      expect((await server.get(`/drives/${target}/read/0/100`)).status).toBe(200);
    },
  );

  test('imaging:error stays through reads and sets, and ends with the next write or image', async () => {
    const [bad, good] = [await driveWith(noise('bad', 5000)), await driveWith(GZIPPED)];
    const target = await server.create('size 16M');
    await runImaging(server, { source: bad, target, conversion: 'gunzip' });
    await server.read(target, 0, 1);
    await server.json(`/drives/${target}/set`, 'name n');
    expect(await server.info(target)).toHaveProperty('imaging:error');
    await server.write(target, noise('next', 10));
    expect(await server.info(target)).not.toHaveProperty('imaging:error');
    await runImaging(server, { source: bad, target, conversion: 'gunzip' });
    const info = await runImaging(server, { source: good, target, conversion: 'gunzip' });
    expect(info).not.toHaveProperty('imaging:error');
    await expectBytes(target, DATA, 16 * MIB);
  });
});

describe('while a drive is imaging', () => {
  test('both drives are claimed, a second imaging is queued, and what needs the drives is refused', async () => {
    const block = noise('slow', 4 * MIB);
    const source = await driveWith(Buffer.concat(Array.from({ length: 8 }, () => block)));
    const [target, second] = [await server.create('size 40M'), await server.create('size 40M')];
    // Each process does one at a time.
    const before = await Promise.all(server.nodes.slice(1).map(() => server.create('size 40M')));
    for (const drive of [...before, target, second]) {
      expect((await server.post(`/drives/${drive}/image/${source}/gzip`)).status).toBe(204);
    }
    const [first, queued, from] = await Promise.all([target, second, source].map((d) => server.info(d)));
    expect(first).toMatchObject({ status: 'active', claimed: expect.stringMatching(/^\S+$/) });
    expect(first?.['imaging']).toMatch(/^(queued|\d+%)$/);
    expect(queued).toMatchObject({ imaging: 'queued', claimed: expect.stringMatching(/^\S+$/) });
    expect(from?.['claimed']).toMatch(/^\S+( \S+)*$/);
    expect(String(from?.['claimed']).split(' ').length).toBeLessThanOrEqual(before.length + 2);
    expect(from).not.toHaveProperty('imaging');
    expect((await server.get(`/drives/${target}/info`)).text).toMatch(/^imaging (true|queued)$/m);

    const idle = await server.create('size 32M');
    const refused = await Promise.all([
      server.get(`/drives/${target}/read/0/1`),
      server.write(target, noise('x', 1)),
      server.post(`/drives/${target}/destroy`),
      server.post(`/drives/${target}/set`, 'size 1M'),
      server.post(`/drives/${target}/image/${idle}`),
      server.post(`/drives/${source}/image/${idle}`),
      server.post(`/drives/${source}/destroy`),
      server.post(`/drives/${source}/set`, 'size 1M'),
      server.post(`/drives/${second}/destroy`),
      server.get(`/drives/${second}/read/0/1`),
    ]);
    expect(refused.map(({ status, headers }) => `${status} ${headers['x-elastic-error']}`)).toEqual(
      Array.from({ length: refused.length }, () => '409 busy'),
    );
    expect((await server.get(`/drives/${source}/read/0/1`)).status).toBe(200);
    expect((await server.post(`/drives/${target}/set`, 'size 41M\nname grown')).status).toBe(200);

    const seen = new Set<string>();
    for (
      let info = await server.info(target);
      info['imaging'] !== undefined;
      info = await server.info(target)
    ) {
      expect(info).toHaveProperty('claimed');
      seen.add(String(info['imaging']));
    }
    expect(await server.info(target)).not.toHaveProperty('claimed');
    expect((await server.get(`/drives/${target}/read/0/1`)).status).toBe(200);
    expect([...seen].every((progress) => /^(queued|\d{1,2}%|100%)$/.test(progress))).toBe(true);
    for (const drive of [...before, second]) await imagingEnd(server, drive);
    expect(await server.info(source)).not.toHaveProperty('claimed');
    const [a, b] = [await server.read(target, 0, 40 * MIB), await server.read(second, 0, 40 * MIB)];
    expect(a.equals(b)).toBe(true);
  });
});
