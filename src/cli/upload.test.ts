import { once } from 'node:events';
import { truncateSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { PassThrough, Readable } from 'node:stream';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { runCli } from '../../test/helpers/cli-run.ts';
import { FakeDriveServer } from '../../test/helpers/fake-drive-server.ts';
import { image, noise } from '../../test/helpers/sample-bytes.ts';
import { BLOCK_BYTES } from './api/drive-api.ts';

let server: FakeDriveServer;
let directory: string;

beforeEach(async () => {
  server = await new FakeDriveServer().listen();
  directory = await mkdtemp(join(tmpdir(), 'drivebay-upload-'));
});

afterEach(async () => {
  await server[Symbol.asyncDispose]();
  await rm(directory, { recursive: true });
});

async function file(name: string, bytes: Buffer): Promise<string> {
  const path = join(directory, name);
  await writeFile(path, bytes);
  return path;
}

const WRITES = /^POST .*\/write\//;

test('an upload makes the drive equal to the file and sends no zero blocks', async () => {
  const bytes = image('dzzdzd', 777);
  const driveId = server.addDrive(Buffer.alloc(bytes.length));
  const result = await runCli(server, ['upload', await file('a.img', bytes), driveId, '--json']);
  expect(result.stderr).toBe('');
  expect(server.bytesOf(driveId).equals(bytes)).toBe(true);
  expect(server.count(WRITES)).toBe(4);
  expect(result.exitCode).toBe(0);
  expect(result.json()).toMatchObject({
    drive: driveId,
    size: bytes.length,
    moved: 3 * BLOCK_BYTES + 777,
    zero: 3 * BLOCK_BYTES,
    cleared: 0,
    unchanged: 0,
  });
});

test('an upload to a fresh drive asks for no hashes and takes two questions before the first byte', async () => {
  const bytes = image('dd');
  const driveId = server.addDrive(Buffer.alloc(bytes.length));
  await runCli(server, ['upload', await file('a.img', bytes), driveId]);
  expect(server.requests.map(({ path }) => path).slice(0, 2)).toEqual([
    `/drives/${driveId}/info`,
    `/drives/${driveId}/map?offset=0&size=${bytes.length}`,
  ]);
  expect(server.count(/hash=/)).toBe(0);
});

test('what the drive holds and the file does not is zeroed, also past the end of the file', async () => {
  const bytes = image('zd', 100);
  const drive = image('ddddd');
  const driveId = server.addDrive(Buffer.from(drive));
  const result = await runCli(server, ['upload', await file('a.img', bytes), driveId, '--json']);
  expect(
    server.bytesOf(driveId).equals(Buffer.concat([bytes, Buffer.alloc(drive.length - bytes.length)])),
  ).toBe(true);
  expect(result.json()).toMatchObject({
    cleared: 3 * BLOCK_BYTES,
    unchanged: BLOCK_BYTES,
    moved: BLOCK_BYTES,
  });
  const zeroWrite = server.requests.find(({ path }) => path.endsWith('/write/0'));
  expect(zeroWrite?.bodyBytes).toBeLessThan(10_000);
});

test('what the file system calls a hole is not read', async () => {
  // The file has data all over, which shows when it is read after all.
  const path = await file('sparse.img', image('dddddd'));
  const driveId = server.addDrive(Buffer.alloc(6 * BLOCK_BYTES));
  const asked: number[] = [];
  const nextDataBytes = (_fd: number, fromBytes: number): number | null => {
    asked.push(fromBytes);
    return fromBytes === 0 ? 0 : null;
  };
  const result = await runCli(server, ['upload', path, driveId, '--json'], { overrides: { nextDataBytes } });
  expect(result.json()).toMatchObject({ moved: BLOCK_BYTES, zero: 5 * BLOCK_BYTES });
  expect(server.bytesOf(driveId).equals(image('dzzzzz'))).toBe(true);
  expect(asked).toEqual([0, BLOCK_BYTES]);
});

test('a file that becomes shorter while it is read fails the upload', async () => {
  const path = await file('a.img', image('dddddd'));
  const driveId = server.addDrive(Buffer.alloc(6 * BLOCK_BYTES));
  server.intervene = ({ path: asked }) => {
    if (asked.endsWith('/write/0')) truncateSync(path, 2 * BLOCK_BYTES);
    return undefined;
  };
  const result = await runCli(server, ['upload', path, driveId, '--parallel', '1']);
  expect(result.exitCode).toBe(1);
  expect(result.stderr).toBe(`drivebay: ${path} became shorter while it was read\n`);
});

test('only blocks that differ are sent to a drive that holds something', async () => {
  const bytes = image('d'.repeat(20));
  const changed = Buffer.from(bytes);
  changed[17 * BLOCK_BYTES + 5] = 1;
  const driveId = server.addDrive(Buffer.from(bytes));
  const result = await runCli(server, ['upload', await file('a.img', changed), driveId, '--json']);
  expect(server.bytesOf(driveId).equals(changed)).toBe(true);
  expect(server.count(WRITES)).toBe(1);
  expect(result.json()).toMatchObject({ moved: BLOCK_BYTES, unchanged: 19 * BLOCK_BYTES });
});

test('hashes are asked for in ranges, not for the whole drive at once', async () => {
  const driveId = server.addDrive(image('d'.repeat(40)));
  await runCli(server, ['upload', await file('a.img', image('d'.repeat(40))), driveId]);
  const ranges = server.requests.filter(({ path }) => path.includes('hash=')).map(({ path }) => path);
  expect(ranges).toHaveLength(3);
  expect(ranges[0]).toContain(`offset=0&size=${16 * BLOCK_BYTES}`);
});

test.each([1, 3, 6])(
  'an upload cut off after %i pieces continues with the others',
  async (writesBeforeEnd) => {
    const bytes = image('dddzdddddd');
    const driveId = server.addDrive(Buffer.alloc(bytes.length));
    const path = await file('a.img', bytes);
    const interrupt = new AbortController();
    let writes = 0;
    server.intervene = (request) => {
      if (request.method === 'POST' && ++writes === writesBeforeEnd + 1) interrupt.abort();
      return writes > writesBeforeEnd ? { cut: 'before' } : undefined;
    };
    const first = await runCli(server, ['upload', path, driveId, '--parallel', '2'], {
      interrupt: interrupt.signal,
    });
    expect(first.exitCode).toBe(1);
    expect(first.stderr).toBe('drivebay: interrupted; the same command again continues where it stopped\n');
    server.intervene = () => undefined;
    const second = await runCli(server, ['upload', path, driveId, '--json']);
    expect(server.bytesOf(driveId).equals(bytes)).toBe(true);
    const { moved, unchanged } = second.json() as { moved: number; unchanged: number };
    expect(moved + unchanged).toBe(9 * BLOCK_BYTES);
    // One whose body had arrived when the connection was cut may have been written as well.
    expect(unchanged / BLOCK_BYTES).toBeGreaterThanOrEqual(writesBeforeEnd);
  },
);

test('--create makes a drive of the size of the file, prints its UUID, and asks for no map', async () => {
  const bytes = image('dz', 4321);
  const result = await runCli(server, ['upload', await file('a.img', bytes), '--create', '--name', 'made']);
  const driveId = result.text.trim();
  expect(server.drives.get(driveId)?.info).toMatchObject({ name: 'made', size: bytes.length });
  expect(server.bytesOf(driveId).equals(bytes)).toBe(true);
  expect(server.count(/map/)).toBe(0);
});

test('a file larger than the drive is refused before anything is sent', async () => {
  const driveId = server.addDrive(Buffer.alloc(1000));
  const result = await runCli(server, ['upload', await file('a.img', noise('a', 1001)), driveId]);
  expect(result.exitCode).toBe(2);
  expect(result.stderr).toMatch(/has 1001 bytes .*the drive has 1000/);
  expect(server.count(/POST|map/)).toBe(0);
});

test('a pipe is uploaded in order and the rest of the drive is zeroed', async () => {
  const bytes = image('dzd', 99);
  const driveId = server.addDrive(image('ddddd'));
  const chunks = Array.from({ length: Math.ceil(bytes.length / 70_001) }, (_, index) =>
    bytes.subarray(index * 70_001, (index + 1) * 70_001),
  );
  const result = await runCli(server, ['upload', '-', driveId], {
    stdin: Readable.from(chunks, { objectMode: false }),
  });
  expect(result.exitCode).toBe(0);
  expect(server.bytesOf(driveId).subarray(0, bytes.length).equals(bytes)).toBe(true);
  const rest = server.bytesOf(driveId).subarray(bytes.length);
  expect(rest.equals(Buffer.alloc(rest.length))).toBe(true);
});

test('a pipe longer than the drive fails', async () => {
  const driveId = server.addDrive(Buffer.alloc(5000));
  const stdin = new PassThrough().end(noise('long', 5001));
  const result = await runCli(server, ['upload', '-', driveId], { stdin });
  expect(result.exitCode).toBe(1);
  expect(result.stderr).toContain("standard input holds more than the drive's 5000 bytes");
});

test.each([
  [
    'gz',
    (bytes: Buffer) => Buffer.concat([gzipSync(bytes.subarray(0, 5000)), gzipSync(bytes.subarray(5000))]),
  ],
  [
    'zst',
    (bytes: Buffer) =>
      Buffer.concat([zstdCompressSync(bytes.subarray(0, 5000)), zstdCompressSync(bytes.subarray(5000))]),
  ],
])('a .%s file of several parts is unpacked on the way', async (ending, pack) => {
  const bytes = image('dzd', 100);
  const driveId = server.addDrive(Buffer.alloc(bytes.length));
  const result = await runCli(server, ['upload', await file(`a.img.${ending}`, pack(bytes)), driveId]);
  expect(result.stderr).toMatch(/^uploaded /);
  expect(server.bytesOf(driveId).equals(bytes)).toBe(true);
});

test('--raw uploads a packed file as it is', async () => {
  const packed = gzipSync(noise('packed', 3000));
  const driveId = server.addDrive(Buffer.alloc(packed.length));
  await runCli(server, ['upload', await file('a.gz', packed), driveId, '--raw']);
  expect(server.bytesOf(driveId).equals(packed)).toBe(true);
});

test.each(['gz', 'zst'])('a .%s file that is not packed well is told', async (ending) => {
  const driveId = server.addDrive(Buffer.alloc(BLOCK_BYTES));
  const result = await runCli(server, ['upload', await file(`a.${ending}`, noise('bad', 5000)), driveId]);
  expect(result.exitCode).toBe(1);
  expect(result.stderr).toMatch(/is not well packed .*; --raw uploads it as it is\n$/);
});

test('a .zst file that needs a dictionary is told as such', async () => {
  const magicAndDictionary = [0x28, 0xb5, 0x2f, 0xfd, 0b0010_0001, 42];
  const packed = Buffer.from([...magicAndDictionary, 5, 0b0010_1001, 0, 0, ...Buffer.from('hello')]);
  const driveId = server.addDrive(Buffer.alloc(BLOCK_BYTES));
  const result = await runCli(server, ['upload', await file('a.zst', packed), driveId]);
  expect(result.exitCode).toBe(1);
  expect(result.stderr).toMatch(/a\.zst needs the dictionary that it was packed with; .* --raw\n$/);
});

test('the drive that was made for a file that is not packed well is named', async () => {
  const path = await file('a.gz', noise('bad', 5000));
  const result = await runCli(server, ['upload', path, '--create', '--size', '1M']);
  const [driveId] = server.drives.keys();
  expect(result.stderr).toContain(`uploads it as it is; the new drive is ${driveId}\n`);
});

test.each([
  ['gz', gzipSync(noise('x', 100_000))],
  ['zst', zstdCompressSync(noise('x', 100_000))],
])('a truncated .%s file is no success', async (ending, packed) => {
  const driveId = server.addDrive(Buffer.alloc(BLOCK_BYTES));
  const cut = await file(`a.${ending}`, packed.subarray(0, 50_000));
  const result = await runCli(server, ['upload', cut, driveId]);
  expect(result.exitCode).toBe(1);
  expect(result.stderr).toContain('is not well packed');
});

test('on a slow line pieces travel packed', async () => {
  const bytes = image('dddd');
  const driveId = server.addDrive(Buffer.alloc(bytes.length));
  // Time passes as the line takes bytes, a megabyte a second, and not while anything else is done.
  const nowMs = (): number => server.receivedBytes / 1000;
  const sleep = async (delayMs: number, signal?: AbortSignal): Promise<void> => {
    await (signal === undefined ? delay(delayMs) : once(signal, 'abort'));
  };
  const args = ['upload', await file('a.img', bytes), driveId, '--json'];
  const result = await runCli(server, args, { overrides: { nowMs, sleep } });
  expect(server.bytesOf(driveId).equals(bytes)).toBe(true);
  expect((result.json() as { wire: number }).wire).toBeLessThan(3 * BLOCK_BYTES);
});

test('--gzip always packs what packs well and sends the rest as it is', async () => {
  const bytes = Buffer.concat([image('d'), noise('incompressible', BLOCK_BYTES)]);
  const driveId = server.addDrive(Buffer.alloc(bytes.length));
  await runCli(server, ['upload', await file('a.img', bytes), driveId, '--gzip', 'always']);
  expect(server.bytesOf(driveId).equals(bytes)).toBe(true);
  const encodings = server.requests
    .filter(({ method }) => method === 'POST')
    .map(({ path, headers }) => [path.split('/').at(-1), headers['content-encoding']]);
  expect(Object.fromEntries(encodings)).toEqual({ '0': 'gzip', [BLOCK_BYTES]: undefined });
});

test('a server without a block map gets every block', async () => {
  server.hasMap = false;
  const bytes = image('dzd');
  const driveId = server.addDrive(image('ddd'));
  const result = await runCli(server, ['upload', await file('a.img', bytes), driveId]);
  expect(result.exitCode).toBe(0);
  expect(server.bytesOf(driveId).equals(bytes)).toBe(true);
  expect(server.count(WRITES)).toBe(3);
});

test('a refusal in the middle ends the upload with the reason of the server', async () => {
  const driveId = server.addDrive(Buffer.alloc(8 * BLOCK_BYTES));
  server.intervene = ({ path }) =>
    path.endsWith(`/write/${BLOCK_BYTES}`)
      ? {
          status: 409,
          headers: { 'x-elastic-error': 'busy' },
          body: '{"error":"busy","message":"It is claimed."}',
        }
      : undefined;
  const result = await runCli(server, ['upload', await file('a.img', image('dddddddd')), driveId]);
  expect(result.exitCode).toBe(1);
  expect(result.stderr).toBe('drivebay: It is claimed\n');
});
