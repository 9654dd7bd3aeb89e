import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, rm, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { noise } from '../helpers/sample-bytes.ts';
import { ADMIN_AUTH, scratchDirectory, startRefused, startServer } from '../helpers/server-process.ts';
import type { ServerProcess } from '../helpers/server-process.ts';
import { imagingEnd, runImaging } from './imaging-run.ts';
import { rawSocket, requestHead } from './raw-socket.ts';

const MIB = 1024 * 1024;
const SLOW = ['--imaging-threads', '1', '--imaging-parallel', '1'];

let scratch: string;
let dataDirectory: string;
let server: ServerProcess;

beforeAll(async () => {
  scratch = await scratchDirectory();
  dataDirectory = join(scratch, 'data');
  server = await startServer({ dataDirectory, args: SLOW });
});

afterAll(async () => {
  await server[Symbol.asyncDispose]();
  await rm(scratch, { recursive: true });
});

/** Exit code 0 for SIGTERM; none for SIGKILL. */
async function restart(signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
  expect(await server.stop(signal)).toBe(signal === 'SIGTERM' ? 0 : null);
  server = await startServer({ dataDirectory, args: SLOW });
}

describe.each(['SIGTERM', 'SIGKILL'] as const)('after %s', (signal) => {
  test('every drive, user, counter, quota and Idempotency-Key is as it was', async () => {
    const { user, key } = (await server.json('/admin/users/create', 'name u\nquota:drives 2')) as Record<
      string,
      string
    >;
    const client = () => server.as(`${user}:${key}`);
    const sent = { method: 'POST', path: '/drives/create', body: 'size 1M\ntags a\nuser:x y\nname n' };
    const call = { ...sent, headers: { 'idempotency-key': 'once' } };
    const created = await client().send(call);
    const drive = /^drive (.*)$/m.exec(created.text)?.[1] ?? '';
    await client().write(`${drive}/7`, noise(signal, 50_000));
    await client().read(drive, 0, 1000);
    const plain = await client().create('size 5000\nencryption:cipher none');
    await client().write(plain, noise('plain', 5000));
    const before = (await client().get('/drives/info/full')).text;
    const users = (await server.get('/admin/users/info')).text;

    await restart(signal);

    expect((await client().get('/drives/info/full')).text).toBe(before);
    expect((await server.get('/admin/users/info')).text).toBe(users);
    const again = await client().send(call);
    expect([again.status, /^drive (.*)$/m.exec(again.text)?.[1]]).toEqual([200, drive]);
    expect((await client().post('/drives/create', 'size 1')).status).toBe(507);
    expect((await client().read(drive, 7, 50_000)).equals(noise(signal, 50_000))).toBe(true);
    expect((await client().read(plain, 0, 5000)).equals(noise('plain', 5000))).toBe(true);
  });

  test('destroyed drives stay destroyed, and what was cut off stays zero', async () => {
    const [gone, cut] = [await server.create('size 1M'), await server.create('size 1M')];
    for (const drive of [gone, cut]) await server.write(drive, Buffer.alloc(MIB, 1));
    await server.post(`/drives/${gone}/destroy`);
    await server.json(`/drives/${cut}/set`, 'size 1000');
    await restart(signal);
    expect((await server.get(`/drives/${gone}/info`)).status).toBe(404);
    await server.json(`/drives/${cut}/set`, 'size 1M');
    const bytes = await server.read(cut, 0, MIB);
    expect(bytes.equals(Buffer.concat([Buffer.alloc(1000, 1), Buffer.alloc(MIB - 1000)]))).toBe(true);
  });

  test('imaging goes on, the running one and the queued one, to the right end', async () => {
    const block = noise('slow', 4 * MIB);
    const data = Buffer.concat(Array.from({ length: 6 }, () => block));
    const [source, packed, copy, bad] = await Promise.all(
      ['size 24M', 'size 30M', 'size 25M', 'size 30M'].map(async (size) => server.create(size)),
    );
    if (source === undefined || packed === undefined || copy === undefined || bad === undefined)
      throw new Error();
    await server.write(source, data);
    await runImaging(server, { source: copy, target: bad, conversion: 'gunzip' });
    expect((await server.post(`/drives/${packed}/image/${source}/gzip`)).status).toBe(204);
    expect((await server.post(`/drives/${copy}/image/${source}`)).status).toBe(204);

    await restart(signal);

    expect(await server.info(bad)).toHaveProperty('imaging:error');
    for (const drive of [packed, copy])
      expect(await imagingEnd(server, drive)).not.toHaveProperty('imaging:error');
    for (const drive of [source, packed, copy])
      expect(await server.info(drive)).not.toHaveProperty('claimed');
    expect((await server.read(copy, 0, 24 * MIB)).equals(data)).toBe(true);
    const input = await server.read(packed, 0, 30 * MIB);
    const end = input.findLastIndex((byte) => byte !== 0) + 9;
    // gzip warns of the zeros behind the stream by exit code 2, but has unpacked and checked all of it.
    const unpacked = execFileSync('bash', ['-c', 'gzip -dcq || [ $? = 2 ]'], {
      input: input.subarray(0, end),
      maxBuffer: 64 * MIB,
    });
    expect(unpacked.equals(data)).toBe(true);
  });
});

test('a second server on the same data directory is refused, and the first goes on', async () => {
  const { exitCode, output } = await startRefused({ dataDirectory });
  expect(exitCode).not.toBe(0);
  expect(output).toContain(dataDirectory);
  expect(output).not.toMatch(/\n\s+at /);
  expect((await server.get('/drives/list')).status).toBe(200);
});

test('a port that is taken is told plainly', async () => {
  const { port } = server;
  const args = ['--listen', `127.0.0.1:${port}`];
  const { exitCode, output } = await startRefused({ dataDirectory: join(scratch, 'other'), args });
  expect(exitCode).not.toBe(0);
  expect(output).toContain(`127.0.0.1:${port}`);
  expect(output).not.toMatch(/\n\s+at /);
});

test('listening where others can reach it without TLS is refused, and says why', async () => {
  const args = ['--listen', '0.0.0.0:0'];
  const { exitCode, output } = await startRefused({ dataDirectory: join(scratch, 'open'), args });
  expect(exitCode).not.toBe(0);
  expect(output).toMatch(/TLS/);
  expect(output).toMatch(/allow.insecure.listen/);
});

test('SIGTERM ends a server at once that nobody uses', async () => {
  await using unused = await startServer();
  const startedAtMs = performance.now();
  expect(await unused.stop('SIGTERM')).toBe(0);
  // It waits 5 s for connections that hang, and must not when there are none.
  expect(performance.now() - startedAtMs).toBeLessThan(4500);
});

test('compiled code that no start has used for a month is removed once a server serves', async () => {
  const compiled = join(scratch, `drivebay-compiled-${process.getuid?.() ?? 'user'}`);
  await mkdir(join(compiled, 'v20'), { recursive: true, mode: 0o700 });
  const unused = join(compiled, 'v20', 'unused');
  await writeFile(unused, '');
  await utimes(unused, 0, 0);
  await using started = await startServer({ env: { TMPDIR: scratch } });
  await expect.poll(() => existsSync(unused)).toBe(false);
  expect(await started.stop()).toBe(0);
});

test('SIGTERM lets a request under way end, although idle connections and slow bodies are there', async () => {
  const drive = await server.create('size 1M');
  using idle = await rawSocket(server.port);
  const head = requestHead(ADMIN_AUTH, `POST /drives/${drive}/write`, [
    'Content-Length: 4',
    'Connection: close',
  ]);
  using under = await rawSocket(server.port, `${head}da`);
  await server.get('/drives/list');
  const stopped = server.stop('SIGTERM');
  under.socket.write('ta');
  expect(await under.untilClosed()).toMatch(/^HTTP\/1.1 204 /);
  expect(await stopped).toBe(0);
  idle.socket.destroy();
  server = await startServer({ dataDirectory, args: SLOW });
  expect((await server.read(drive, 0, 4)).toString()).toBe('data');
});
