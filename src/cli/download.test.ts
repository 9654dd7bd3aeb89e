import { access, mkdir, mkdtemp, open, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { gunzipSync, zstdDecompressSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { runCli } from '../../test/helpers/cli-run.ts';
import { FakeDriveServer } from '../../test/helpers/fake-drive-server.ts';
import { image, noise } from '../../test/helpers/sample-bytes.ts';
import { BLOCK_BYTES } from './api/drive-api.ts';
import { openHttpTransport } from './api/http-transport.ts';

let server: FakeDriveServer;
let directory: string;
let path: string;

beforeEach(async () => {
  server = await new FakeDriveServer().listen();
  directory = await mkdtemp(join(tmpdir(), 'drivebay-download-'));
  path = join(directory, 'out.img');
});

afterEach(async () => {
  await server[Symbol.asyncDispose]();
  await rm(directory, { recursive: true });
});

const READS = /\/read\//;

test('a download makes the file equal to the drive and leaves zero blocks as holes', async () => {
  const bytes = image('dzzzzzzd', 333);
  const driveId = server.addDrive(bytes);
  const result = await runCli(server, ['download', driveId, path, '--json']);
  expect(result.stderr).toBe('');
  expect((await readFile(path)).equals(bytes)).toBe(true);
  expect((await stat(path)).blocks * 512).toBeLessThan(4 * BLOCK_BYTES);
  expect(server.count(READS)).toBe(3);
  expect(result.json()).toMatchObject({
    drive: driveId,
    moved: 2 * BLOCK_BYTES + 333,
    zero: 6 * BLOCK_BYTES,
  });
});

test('blocks that the map calls data become holes when they are zero', async () => {
  const bytes = image('dzzzzzzd');
  const driveId = server.addDrive(bytes);
  server.hasMap = false;
  const result = await runCli(server, ['download', driveId, path]);
  expect(result.exitCode).toBe(0);
  expect((await readFile(path)).equals(bytes)).toBe(true);
  expect((await stat(path)).blocks * 512).toBeLessThan(3 * BLOCK_BYTES);
});

test('the file has its name only when all of it is there', async () => {
  const driveId = server.addDrive(image('dddd'));
  server.intervene = ({ path: asked }) =>
    asked.includes(`/read/${2 * BLOCK_BYTES}/`) ? { status: 500, body: 'Broken disk.' } : undefined;
  const first = await runCli(server, ['download', driveId, path]);
  expect(first.exitCode).toBe(1);
  expect(first.stderr).toContain('Broken disk');
  await expect(access(path)).rejects.toThrow('ENOENT');
  server.intervene = () => undefined;
  await runCli(server, ['download', driveId, path]);
  expect((await readFile(path)).equals(image('dddd'))).toBe(true);
  await expect(access(`${path}.drivebay-part`)).rejects.toThrow('ENOENT');
});

test.each([1, 4, 7])(
  'a download interrupted after %i pieces continues with the others',
  async (readsBeforeEnd) => {
    const bytes = image('ddzdddddz', 10);
    const driveId = server.addDrive(bytes);
    const interrupt = new AbortController();
    let reads = 0;
    server.intervene = ({ path: asked }) => {
      if (READS.test(asked)) reads++;
      if (reads <= readsBeforeEnd) return undefined;
      interrupt.abort();
      return { cut: 'before' };
    };
    const args = ['download', driveId, path, '--parallel', '1', '--json'];
    const first = await runCli(server, args, { interrupt: interrupt.signal });
    expect(JSON.parse(first.stderr)).toEqual({
      error: 'interrupted',
      message: 'interrupted; the same command again continues where it stopped',
    });
    server.intervene = () => undefined;
    const second = await runCli(server, args);
    expect((await readFile(path)).equals(bytes)).toBe(true);
    expect(second.json()).toMatchObject({ unchanged: readsBeforeEnd * BLOCK_BYTES });
  },
);

test('a part that holds other data becomes equal to the drive, zeros included', async () => {
  const bytes = image('zdzd', 5);
  const driveId = server.addDrive(bytes);
  await writeFile(`${path}.drivebay-part`, noise('something else', 6 * BLOCK_BYTES));
  const result = await runCli(server, ['download', driveId, path]);
  expect(result.exitCode).toBe(0);
  expect((await readFile(path)).equals(bytes)).toBe(true);
});

describe('that the same command continues', () => {
  const CONTINUES = 'the same command again continues where it stopped';

  /** The next call of this name on any file fails, as where a disk does. */
  async function failing(call: 'read' | 'write', code: string): Promise<void> {
    const handle = await open(directory);
    const error = Object.assign(new Error(`${code}: trouble`), { code });
    vi.spyOn(Object.getPrototypeOf(handle) as typeof handle, call).mockRejectedValueOnce(error);
    await handle.close();
  }

  afterEach(() => vi.restoreAllMocks());

  test('is said when the server fails', async () => {
    const driveId = server.addDrive(image('dd'));
    const failed = { status: 500, headers: { 'x-elastic-error': 'failed' }, body: 'Broken disk.' };
    server.intervene = ({ path: asked }) => (asked.includes(`/read/${BLOCK_BYTES}/`) ? failed : undefined);
    const { stderr } = await runCli(server, ['download', driveId, path]);
    expect(stderr).toBe(`drivebay: Broken disk; ${CONTINUES}\n`);
  });

  test('is said of a full disk, once there is room', async () => {
    await failing('write', 'ENOSPC');
    const { stderr } = await runCli(server, ['download', server.addDrive(image('d')), path]);
    expect(stderr).toBe(
      `drivebay: cannot write ${path}: the disk is full; with more room there ${CONTINUES}\n`,
    );
  });

  test('is not said when the file cannot be written', async () => {
    await failing('write', 'EIO');
    const { stderr } = await runCli(server, ['download', server.addDrive(image('d')), path]);
    expect(stderr).toBe(`drivebay: cannot write ${path}: EIO: trouble\n`);
    const nowhere = join(directory, 'none', 'out.img');
    const other = await runCli(server, ['download', server.addDrive(image('d')), nowhere]);
    expect(other.stderr).toBe(
      `drivebay: cannot write ${nowhere}.drivebay-part: its directory does not exist\n`,
    );
  });

  test('is not said when the part that is there cannot be read, but what helps', async () => {
    await writeFile(`${path}.drivebay-part`, image('d'));
    await failing('read', 'EIO');
    const { stderr } = await runCli(server, ['download', server.addDrive(image('d')), path]);
    const part = `${path}.drivebay-part`;
    expect(stderr).toBe(
      `drivebay: cannot read ${part}: EIO: trouble; without that file the download begins anew\n`,
    );
  });
});

test('bytes that do not fit their digest are not accepted', async () => {
  const driveId = server.addDrive(image('dd'));
  const wrong = Buffer.alloc(32).toString('base64');
  server.intervene = ({ path: asked }) =>
    asked.includes(`/read/${BLOCK_BYTES}/`) ? { digest: wrong } : undefined;
  const result = await runCli(server, ['download', driveId, path]);
  expect(result.exitCode).toBe(1);
  expect(result.stderr).toBe(
    `drivebay: the bytes received at offset ${BLOCK_BYTES} are not those of the digest\n`,
  );
  await expect(access(path)).rejects.toThrow('ENOENT');
});

test('a server that gives no digests is named in the summary', async () => {
  const driveId = server.addDrive(image('d'));
  server.intervene = () => ({ digest: null });
  const result = await runCli(server, ['download', driveId, path]);
  expect(result.exitCode).toBe(0);
  expect(result.stderr).toContain('4.0 MiB not verified');
});

test('a pipe gets the bytes in order although later pieces arrive first', async () => {
  const bytes = image('dddzddzzd', 1234);
  const driveId = server.addDrive(bytes);
  const result = await runCli(server, ['download', driveId, '-']);
  expect(result.stdout.equals(bytes)).toBe(true);
  expect(result.stderr).toMatch(/^downloaded /);
});

test('a reader that goes away ends the download', async () => {
  const driveId = server.addDrive(image('dddd'));
  const stdout = new Writable({
    write(_chunk, _encoding, done) {
      done(Object.assign(new Error('gone'), { code: 'EPIPE' }));
    },
  });
  const result = await runCli(server, ['download', driveId, '-'], { overrides: { stdout } });
  expect(result.exitCode).toBe(1);
  expect(result.stderr).toBe('drivebay: cannot write standard output: the reader has gone\n');
});

test.each([
  ['gz', gunzipSync],
  ['zst', zstdDecompressSync],
])('a .%s file is packed on the way', async (ending, unpack) => {
  const bytes = image('dzd', 77);
  const driveId = server.addDrive(bytes);
  const result = await runCli(server, ['download', driveId, `${path}.${ending}`]);
  expect(result.exitCode).toBe(0);
  const packed = await readFile(`${path}.${ending}`);
  expect(packed.length).toBeLessThan(100_000);
  expect(unpack(packed).equals(bytes)).toBe(true);
});

test.each(['gz', 'zst'])('a full disk under a .%s file is told', async (ending) => {
  const driveId = server.addDrive(Buffer.concat([noise('full', 3 * BLOCK_BYTES), image('dd')]));
  await symlink('/dev/full', `${path}.${ending}.drivebay-part`);
  const result = await runCli(server, ['download', driveId, `${path}.${ending}`, '--parallel', '1']);
  expect(result.stderr).toBe(`drivebay: cannot write ${path}.${ending}: the disk is full\n`);
  expect(result.exitCode).toBe(1);
});

test('a device such as /dev/null takes the bytes as a pipe does', async () => {
  const driveId = server.addDrive(image('dz'));
  const result = await runCli(server, ['download', driveId, '/dev/null', '--json']);
  expect(result.exitCode).toBe(0);
  expect(result.json()).toMatchObject({ moved: BLOCK_BYTES });
});

test('a directory in place of the file is a usage error before anything is asked', async () => {
  await mkdir(path);
  const result = await runCli(server, ['download', server.addDrive(image('d')), path]);
  expect(result.exitCode).toBe(2);
  expect(result.stderr).toContain('it is a directory');
  expect(server.requests).toEqual([]);
});

test('connections that break between two pieces are made again', async () => {
  const bytes = image('dddddddd');
  const driveId = server.addDrive(bytes);
  let reads = 0;
  server.intervene = ({ path: asked }) => {
    if (!READS.test(asked)) return undefined;
    return ++reads % 3 === 0 ? { cut: reads % 2 === 0 ? 'before' : 'after' } : undefined;
  };
  const result = await runCli(server, ['download', driveId, path]);
  expect(result.exitCode).toBe(0);
  expect((await readFile(path)).equals(bytes)).toBe(true);
});

test('an answer in chunks is received in the ordinary way', async () => {
  const body = noise('chunked', 100_000);
  const chunked = createServer((_request, response) => {
    response.write(body.subarray(0, 5));
    response.end(body.subarray(5));
  });
  await new Promise<void>((resolve) => chunked.listen(0, '127.0.0.1', resolve));
  const url = new URL(`http://127.0.0.1:${(chunked.address() as AddressInfo).port}`);
  const transport = openHttpTransport({ url, auth: null, ca: null, connections: 1 });
  const answer = await transport.receive(
    { method: 'GET', path: '/', isRepeatable: true },
    Buffer.alloc(100_000),
  );
  expect(answer.body.equals(body)).toBe(true);
  transport.close();
  chunked.close();
});

test('a refusal is none of the drive, even when it is just as long', async () => {
  const driveId = server.addDrive(noise('short', 10));
  server.intervene = ({ path: asked }) =>
    READS.test(asked) ? { status: 403, body: '0123456789' } : undefined;
  const result = await runCli(server, ['download', driveId, path]);
  expect(result.exitCode).toBe(1);
  expect(result.stderr).toMatch(/^drivebay: 0123456789/);
});
