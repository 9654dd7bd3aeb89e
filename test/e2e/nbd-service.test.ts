import { randomUUID } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { NBD_CMD_FLAG } from '../../src/nbd/protocol-numbers.ts';
import { seededRandom } from '../fault/seeded-random.ts';
import { connectNbd, NbdGone } from '../helpers/nbd-client.ts';
import type { NbdClient } from '../helpers/nbd-client.ts';
import { noise } from '../helpers/sample-bytes.ts';
import { scratchDirectory, startServer } from '../helpers/server-process.ts';
import type { ServerProcess } from '../helpers/server-process.ts';

const MIB = 2 ** 20;
const ARGS = ['--nbd-listen', '127.0.0.1:0'];
const SEED = Number(process.env['DRIVEBAY_SEED'] ?? Math.floor(Math.random() * 2 ** 32));

type Pairs = Readonly<Record<string, string>>;

async function uriOf(server: ServerProcess, drive: string): Promise<string> {
  const answer = (await server.json(`/drives/${drive}/claim`, `server ${randomUUID()}\ntakeover true`)) as {
    'attach:tcp': string;
  };
  return answer['attach:tcp'];
}

async function scratchData(): Promise<AsyncDisposable & { readonly path: string }> {
  const scratch = await scratchDirectory();
  return {
    path: `${scratch}/data`,
    [Symbol.asyncDispose]: () => rm(scratch, { recursive: true, force: true }),
  };
}

describe('what NBD clients read and write', () => {
  test('is counted, together with HTTP, and survives an orderly end and a start', async () => {
    await using data = await scratchData();
    const before = await startServer({ dataDirectory: data.path, args: ARGS });
    const drive = await before.create('size 8M\nclaim:type shared');
    const client = await connectNbd(await uriOf(before, drive));
    await client.write(0, noise('a', 100_000));
    await client.read(0, 4096);
    await client.read(5, 10);
    await client.flush();
    expect((await client.ask({ command: 'READ', offsetBytes: 8 * MIB, lengthBytes: 1 })).error).not.toBe(0);
    await before.write(drive, noise('b', 1000));
    const counted = {
      'read:bytes': '4106',
      'read:requests': '2',
      'write:bytes': '101000',
      'write:requests': '2',
    };
    expect(await before.info(drive)).toMatchObject(counted);
    await client.write(0, noise('c', 10));
    // Nobody has looked at the figures since.
    expect(await before.stop()).toBe(0);
    await client.closed;
    await using after = await startServer({ dataDirectory: data.path, args: ARGS });
    expect(await after.info(drive)).toMatchObject({
      ...counted,
      'write:bytes': '101010',
      'write:requests': '3',
    });
  });

  test('is in the activity of its owner and of administrators, with the time it took, until a restart', async () => {
    await using data = await scratchData();
    const all = await startServer({ dataDirectory: data.path, args: ARGS });
    // A process tells what it has done itself.
    const [server] = all.nodes;
    const { user, key } = (await server.json('/admin/users/create', '')) as Record<string, string>;
    const owner = server.as(`${user}:${key}`);
    const drive = await owner.create('size 8M\nname busy\nclaim:type shared');
    const uri = ((await owner.json(`/drives/${drive}/claim`, `server ${randomUUID()}`)) as Pairs)[
      'attach:tcp'
    ];
    const [one, other] = [await connectNbd(uri ?? ''), await connectNbd(uri ?? '')];
    const startedAtMs = performance.now();
    await owner.read(drive, 0, 1000);
    await owner.write(`${drive}/1M`, noise('b', MIB));
    await one.write(0, noise('a', 100_000));
    await one.read(0, 4096);
    await other.read(5, 10);
    await one.flush();
    const elapsedUs = (performance.now() - startedAtMs) * 1000;
    const [info, ...others] = (await owner.json('/drives/activity')) as Pairs[];
    expect([info, others]).toEqual([
      {
        drive,
        name: 'busy',
        connections: '2',
        'read:requests': '3',
        'read:bytes': '5106',
        'read:us': expect.any(String),
        'write:requests': '2',
        'write:bytes': String(100_000 + MIB),
        'write:us': expect.any(String),
        'flush:requests': '1',
        'flush:us': expect.any(String),
      },
      [],
    ]);
    const times = ['read:us', 'write:us', 'flush:us'].map((name) => Number(info?.[name]));
    expect(times.every((us) => Number.isInteger(us) && us > 0)).toBe(true);
    expect(times.reduce((sum, us) => sum + us)).toBeLessThan(elapsedUs);
    expect(await server.json('/admin/drives/activity')).toEqual([{ ...info, user }]);
    // Nobody else is told, nor that administrators are.
    expect(await server.json('/drives/activity')).toEqual([]);
    expect((await owner.get('/admin/drives/activity')).status).toBe(404);
    await one.leave();
    await other.leave();
    await expect.poll(() => owner.json('/drives/activity')).toEqual([{ ...info, connections: '0' }]);
    await all.stop();
    await using after = await startServer({ dataDirectory: data.path, args: ARGS });
    expect(await after.json('/admin/drives/activity')).toEqual([]);
  });

  test('is in the metrics, with the connections that are open', async () => {
    await using server = await startServer({ args: ARGS });
    using client = await connectNbd(await uriOf(server, await server.create('size 1M')));
    await client.write(0, noise('a', 5000));
    // Those of the process that serves the connection.
    const all = await Promise.all(server.nodes.map((node) => node.get('/metrics')));
    const { text } = all.find((each) => !/^drivebay_nbd_connections 0$/m.test(each.text)) ?? { text: '' };
    expect(text).toMatch(/^drivebay_nbd_connections 1$/m);
    expect(text).toMatch(/^drivebay_nbd_bytes_total\{operation="write"\} 5000$/m);
    expect(text).toMatch(/^drivebay_nbd_request_seconds_count\{operation="write"\} 1$/m);
    expect(text).toMatch(/^drivebay_nbd_request_seconds_bucket\{operation="write",le="\+Inf"\} 1$/m);
  });
});

/** Requests a second that two connections get in this time, each with several requests under way. */
async function rate(clients: readonly NbdClient[], lengthBytes: number, seconds: number): Promise<number> {
  // What may come at once after a pause is spent first.
  const start = performance.now() + 500;
  const end = start + seconds * 1000;
  let count = 0;
  const lane = async (client: NbdClient): Promise<void> => {
    while (performance.now() < end) {
      await client.read(0, lengthBytes);
      if (performance.now() > start && performance.now() < end) count += 1;
    }
  };
  await Promise.all(clients.flatMap((client) => [1, 2, 3, 4].map(() => lane(client))));
  return count / seconds;
}

/** A limit is never exceeded, and is reached unless the clients are kept from it, as they are on a busy machine now and then. */
async function expectRate(
  measure: () => Promise<number>,
  { above, below }: { above: number; below: number },
): Promise<void> {
  const measured: number[] = [];
  for (let attempt = 0; attempt < 3; attempt += 1) {
    const value = await measure();
    expect(value).toBeLessThan(below);
    if (value > above) return;
    measured.push(value);
  }
  expect.fail(`${measured.join(', ')} are not above ${above}`);
}

test('limits of a drive hold for all of its connections, and a change holds at once', async () => {
  await using server = await startServer({ args: ARGS });
  const drive = await server.create('size 8M\nencryption:cipher none');
  const limit = async (pairs: string): Promise<void> => {
    expect((await server.post(`/admin/drives/${drive}/limits`, pairs)).status).toBe(200);
  };
  const uri = await uriOf(server, drive);
  using one = await connectNbd(uri);
  using other = await connectNbd(uri);
  const clients = [one, other];
  await limit('iops 200\niops:burst 40');
  await expectRate(() => rate(clients, 4096, 3), { above: 180, below: 220 });
  await limit('iops \niops:burst \nbytes 8M\nbytes:burst 1M');
  const bytes = async (): Promise<number> => (await rate(clients, 65_536, 3)) * 65_536;
  await expectRate(bytes, { above: 7.2 * MIB, below: 8.8 * MIB });
  await limit('bytes 1k\nbytes:burst 1k');
  const waiting = one.read(0, MIB).then(() => one.read(0, MIB));
  await sleep(100);
  await limit('bytes \nbytes:burst ');
  const liftedAtMs = performance.now();
  await waiting;
  expect(performance.now() - liftedAtMs).toBeLessThan(1000);
  expect(await rate(clients, 4096, 1)).toBeGreaterThan(400);
});

test('SIGTERM ends a server in order while clients are attached and busy', async () => {
  const server = await startServer({ args: ARGS });
  const drive = await server.create('size 8M');
  const uri = await uriOf(server, drive);
  const clients = await Promise.all(Array.from({ length: 5 }, () => connectNbd(uri)));
  const flood = async (client: NbdClient): Promise<never> => {
    for (;;) await client.write(0, noise('x', 4096), NBD_CMD_FLAG.FUA);
  };
  const floods = Promise.allSettled(clients.map(flood));
  await sleep(200);
  const startedAtMs = performance.now();
  expect(await server.stop()).toBe(0);
  expect(performance.now() - startedAtMs).toBeLessThan(10_000);
  for (const { reason } of (await floods) as PromiseRejectedResult[]) {
    expect(reason).toBeInstanceOf(NbdGone);
  }
  expect(server.output()).toContain('"reason":"cut"');
  await rm(dirname(server.dataDirectory), { recursive: true, force: true });
});

test('beyond the limit of connections further ones are closed, and a place that becomes free is taken', async () => {
  await using server = await startServer({ args: [...ARGS, '--nbd-connections', '3'] });
  const uri = await uriOf(server, await server.create('size 1M'));
  const clients = await Promise.all([1, 2, 3].map(() => connectNbd(uri)));
  await expect(connectNbd(uri)).rejects.toThrow(NbdGone);
  for (const client of clients) await client.write(0, noise('still', 100));
  await clients[0]?.leave();
  await expect
    .poll(() =>
      connectNbd(uri)
        .then((client) => client.leave())
        .catch(() => 'full'),
    )
    .toBeUndefined();
  for (const client of clients) client[Symbol.dispose]();
});

const BLOCK_BYTES = 4096;
const BLOCKS = 256;

/** Writes numbered blocks, some with FUA and some flushed later; keeps what was promised of each. */
async function load(
  client: NbdClient,
  lane: number,
  lowest: Uint32Array,
  highest: Uint32Array,
): Promise<void> {
  const random = seededRandom(SEED + lane);
  let unflushed: [number, number][] = [];
  for (let serial = 1; ; serial += 1) {
    const block = lane + 8 * random.below(BLOCKS / 8);
    const data = Buffer.alloc(BLOCK_BYTES);
    data.fill(Buffer.from(Uint32Array.of(serial, block).buffer));
    const isDurable = random.below(4) === 0;
    highest[block] = serial;
    await client.write(block * BLOCK_BYTES, data, isDurable ? NBD_CMD_FLAG.FUA : 0);
    if (isDurable) lowest[block] = serial;
    else unflushed.push([block, serial]);
    if (random.below(20) !== 0) continue;
    const covered = unflushed;
    unflushed = [];
    await client.flush();
    for (const [at, number] of covered) lowest[at] = Math.max(lowest[at] ?? 0, number);
  }
}

test(`what was flushed, or written with FUA, is there after kill -9 (seed ${SEED})`, async () => {
  await using data = await scratchData();
  const random = seededRandom(SEED);
  const [lowest, highest] = [new Uint32Array(BLOCKS), new Uint32Array(BLOCKS)];
  let server = await startServer({ dataDirectory: data.path, args: ARGS });
  const drive = await server.create(`size ${BLOCKS * BLOCK_BYTES}`);
  for (let kill = 0; kill < 4; kill += 1) {
    lowest.fill(0);
    highest.fill(0);
    const uri = await uriOf(server, drive);
    const clients = await Promise.all([connectNbd(uri), connectNbd(uri)]);
    const blank = Buffer.alloc(BLOCKS * BLOCK_BYTES);
    await clients[0]?.write(0, blank, NBD_CMD_FLAG.FUA);
    const lanes = Array.from({ length: 8 }, (_, lane) =>
      load(clients[lane % 2] as NbdClient, lane, lowest, highest),
    );
    const ended = Promise.allSettled(lanes);
    await sleep(200 + random.below(500));
    await server.stop('SIGKILL');
    await ended;
    server = await startServer({ dataDirectory: data.path, args: ARGS });
    const found = await server.read(drive, 0, BLOCKS * BLOCK_BYTES);
    for (let block = 0; block < BLOCKS; block += 1) {
      const bytes = found.subarray(block * BLOCK_BYTES, (block + 1) * BLOCK_BYTES);
      const serial = bytes.readUInt32LE(0);
      expect(serial).toBeGreaterThanOrEqual(lowest[block] ?? 0);
      expect(serial).toBeLessThanOrEqual(highest[block] ?? 0);
    }
    expect(lowest.some((serial) => serial > 0)).toBe(true);
  }
  await server.stop();
});
