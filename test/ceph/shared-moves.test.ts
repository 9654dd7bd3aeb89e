import { afterAll, beforeAll, expect, test } from 'vitest';
import { connectNbd, NbdGone } from '../helpers/nbd-client.ts';
import type { NbdClient } from '../helpers/nbd-client.ts';
import { adminInfo } from '../helpers/pool-server.ts';
import { noise } from '../helpers/sample-bytes.ts';
import type { ServerProcess } from '../helpers/server-process.ts';
import { claimDrive, startCephNodes } from './ceph-nodes.ts';
import type { CephNodes } from './ceph-nodes.ts';
import { testCluster } from './scratch-rbd.ts';

// Drives that move between two pools which both nodes reach: the node that was asked makes the move, and alone changes the drive.

const MIB = 1024 * 1024;
const CEPH_POOLS = { ceph: 'moves-a', second: 'moves-b' };
const MOVED = { timeout: 60_000, interval: 50 };
/** What each writer writes at a time, somewhere in a part of the drive that is its own. */
const WRITE_BYTES = 70_000;
const PART_BYTES = 3 * MIB;

type PoolName = keyof typeof CEPH_POOLS;

let nodes: CephNodes;
let a: ServerProcess;
let b: ServerProcess;

beforeAll(async () => {
  nodes = await startCephNodes(CEPH_POOLS.ceph, { secondPool: CEPH_POOLS.second });
  [a, b] = [await nodes.start('a'), await nodes.start('b')];
});

afterAll(async () => await nodes[Symbol.asyncDispose]());

/** A drive, what it holds, where it lies, and the other pool. */
async function createFull(
  sizeBytes: number,
): Promise<{ drive: string; expected: Buffer; from: PoolName; to: PoolName }> {
  const drive = await a.create(`size ${sizeBytes}\nclaim:type shared`);
  const expected = noise(drive, sizeBytes);
  for (let at = 0; at < sizeBytes; at += 64 * MIB) {
    expect((await a.write(`${drive}/${at}`, expected.subarray(at, at + 64 * MIB))).status).toBe(204);
  }
  const isFirst = (await adminInfo(a, drive))['pool'] === 'ceph';
  const [from, to] = isFirst ? (['ceph', 'second'] as const) : (['second', 'ceph'] as const);
  return { drive, expected, from, to };
}

async function placeOf(node: ServerProcess, drive: string): Promise<Record<string, string | undefined>> {
  const info = await adminInfo(node, drive);
  return { pool: info['pool'], to: info['moving:to'], error: info['moving:error'] };
}

async function move(node: ServerProcess, drive: string, pool: PoolName): Promise<void> {
  const answer = await node.post(`/admin/drives/${drive}/move`, `pool ${pool}`);
  expect([answer.status, answer.text]).toEqual([200, expect.any(String)]);
}

async function untilIn(node: ServerProcess, drive: string, pool: PoolName): Promise<void> {
  await expect.poll(() => placeOf(node, drive), MOVED).toEqual({ pool, to: undefined, error: undefined });
  await expect.poll(() => imagesOf(drive), MOVED).toEqual([pool]);
}

/** The pools that hold an image of the drive. */
async function imagesOf(drive: string): Promise<readonly string[]> {
  const lists = Object.entries(CEPH_POOLS).map(async ([pool, cephPool]) => {
    const images = await testCluster().rbd('ls', cephPool);
    return images.includes(drive) ? [pool] : [];
  });
  return (await Promise.all(lists)).flat();
}

interface Writer {
  readonly written: number;
  readonly refused: number;
  /** Rejects when a write does. */
  readonly ended: Promise<void>;
  stop(): Promise<void>;
}

/** Writes again and again to one part of a drive, and remembers what was acknowledged. */
function startWriter(
  expected: Buffer,
  part: number,
  write: (at: number, bytes: Buffer) => Promise<boolean>,
): Writer {
  const state = { written: 0, refused: 0, isStopped: false };
  const run = async (): Promise<void> => {
    for (let count = 0; !state.isStopped; count += 1) {
      const at = part * PART_BYTES + ((count * WRITE_BYTES) % (PART_BYTES - WRITE_BYTES));
      const bytes = noise(`${part} ${count}`, WRITE_BYTES);
      const isWritten = await write(at, bytes);
      if (isWritten) expected.set(bytes, at);
      state[isWritten ? 'written' : 'refused'] += 1;
    }
  };
  const running = run();
  running.catch(() => undefined);
  return {
    ended: running,
    get written() {
      return state.written;
    },
    get refused() {
      return state.refused;
    },
    async stop() {
      state.isStopped = true;
      await running;
    },
  };
}

/** A write by HTTP: it is done, or refused because another node moves the drive, which is named. */
function httpWriter(node: ServerProcess, drive: string): (at: number, bytes: Buffer) => Promise<boolean> {
  return async (at, bytes) => {
    const answer = await node.write(`${drive}/${at}`, bytes);
    if (answer.status === 204) return true;
    expect(answer.status).toBe(503);
    expect(answer.text).toMatch(
      /is being moved to pool \w+ by node [-0-9a-f]{36} on .*, which alone changes/,
    );
    return false;
  };
}

function nbdWriter(client: NbdClient): (at: number, bytes: Buffer) => Promise<boolean> {
  return async (at, bytes) => {
    await client.write(at, bytes);
    return true;
  };
}

test('a drive moves between two pools of all nodes, by either of them, and no write that was acknowledged is lost', async () => {
  const { drive, expected, ...places } = await createFull(16 * MIB);
  const rounds = [
    { maker: a, other: b, to: places.to },
    { maker: b, other: a, to: places.from },
  ];
  for (const { maker, other, to } of rounds) {
    using client = await connectNbd(await claimDrive(maker, drive));
    using cut = await connectNbd(await claimDrive(other, drive));
    await cut.write(0, expected.subarray(0, 512));
    const byNbd = startWriter(expected, 0, nbdWriter(client));
    const byHttp = [1, 2, 3, 4].map((part) => startWriter(expected, part, httpWriter(other, drive)));
    await move(maker, drive, to);
    await untilIn(other, drive, to);
    const written = byHttp.map((writer) => writer.written);
    await expect.poll(() => byHttp.every((writer, at) => writer.written > (written[at] ?? 0))).toBe(true);
    await Promise.all([byNbd, ...byHttp].map((writer) => writer.stop()));
    expect(byHttp.reduce((sum, writer) => sum + writer.refused, 0)).toBeGreaterThan(0);
    expect(byNbd.written).toBeGreaterThan(0);
    await expect(cut.write(0, Buffer.alloc(512))).rejects.toBeInstanceOf(NbdGone);
    for (const node of [a, b]) {
      expect((await node.read(drive, 0, expected.length)).equals(expected)).toBe(true);
    }
  }
});

test('a move is cancelled, and its drive destroyed, through the node that does not make it', async () => {
  const { drive, expected, from, to } = await createFull(16 * MIB);
  await move(a, drive, to);
  expect((await b.post(`/admin/drives/${drive}/move/cancel`)).status).toBe(200);
  expect((await b.write(drive, Buffer.alloc(512))).status).toBe(204);
  expected.fill(0, 0, 512);
  await untilIn(a, drive, from);
  expect((await a.read(drive, 0, expected.length)).equals(expected)).toBe(true);
  await move(b, drive, to);
  expect((await a.post(`/drives/${drive}/destroy`)).status).toBe(204);
  await expect.poll(() => imagesOf(drive), MOVED).toEqual([]);
});

test('a move whose node is stopped is made to its end by the other', async () => {
  const { drive, expected, to } = await createFull(32 * MIB);
  const stopping = await nodes.start('stopped', { args: ['--drain-seconds', '12'] });
  using client = await connectNbd(await claimDrive(stopping, drive));
  await client.write(0, expected.subarray(0, 512));
  const byNbd = startWriter(expected, 0, nbdWriter(client));
  // It is not through before it is asked to stop: an imaging is in the way of its end.
  const target = await a.create('size 40M\nencryption:cipher none');
  expect((await a.post(`/drives/${target}/image/${drive}/gzip`)).status).toBe(204);
  await move(stopping, drive, to);
  const stopped = stopping.stop('SIGTERM');
  await expect(byNbd.ended).rejects.toBeInstanceOf(NbdGone);
  await untilIn(a, drive, to);
  expect(await stopped).toBe(0);
});

test('a move whose node is killed is made to its end by the other, with all that was acknowledged', async () => {
  const { drive, expected, from, to } = await createFull(64 * MIB);
  using client = await connectNbd(await claimDrive(a, drive));
  const byNbd = startWriter(expected, 0, nbdWriter(client));
  const byHttp = startWriter(expected, 1, httpWriter(b, drive));
  await move(a, drive, to);
  await expect.poll(() => imagesOf(drive), { ...MOVED, interval: 1 }).toContain(to);
  await a.stop('SIGKILL');
  expect(await placeOf(b, drive)).toMatchObject({ pool: from, to });
  const refused = byHttp.refused;
  await expect(byNbd.ended).rejects.toBeInstanceOf(NbdGone);
  // What had no answer may have been made or not.
  await untilIn(b, drive, to);
  await byHttp.stop();
  expect(byHttp.refused).toBeGreaterThan(refused);
  expect(byHttp.written).toBeGreaterThan(0);
  const now = await b.read(drive, 0, expected.length);
  expect(now.subarray(PART_BYTES).equals(expected.subarray(PART_BYTES))).toBe(true);
  a = await nodes.start('a');
  const status = async (): Promise<number> => (await a.get(`/drives/${drive}/read/0/1`)).status;
  await expect.poll(status).toBe(200);
  expect((await a.read(drive, 0, expected.length)).equals(now)).toBe(true);
  expect((await a.write(drive, Buffer.alloc(512))).status).toBe(204);
});
