import { randomUUID } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { seededRandom } from '../fault/seeded-random.ts';
import type { SeededRandom } from '../fault/seeded-random.ts';
import { connectNbd } from '../helpers/nbd-client.ts';
import type { NbdClient } from '../helpers/nbd-client.ts';
import { scratchDirectory } from '../helpers/server-process.ts';
import type { ServerProcess } from '../helpers/server-process.ts';
import { adminInfo, poolsOf, startWithPools, untilMoved } from '../helpers/pool-server.ts';

const MIB = 2 ** 20;
const SEED = Number(process.env['DRIVEBAY_SEED'] ?? Math.floor(Math.random() * 2 ** 32));
const SIZE_BYTES = 64 * MIB;
const BLOCK_BYTES = 4096;

let base: string;
let server: ServerProcess;

beforeAll(async () => {
  base = await scratchDirectory();
  server = await startWithPools(base, [
    { name: 'one', tier: 'disk', domain: 'rack1' },
    { name: 'two', domain: 'rack2' },
  ]);
});

afterAll(async () => {
  await server[Symbol.asyncDispose]();
  await rm(base, { recursive: true });
});

function other(pool: string): string {
  return pool === 'one' ? 'two' : 'one';
}

async function claim(drive: string, pairs: string): Promise<string> {
  const answer = (await server.json(`/drives/${drive}/claim`, pairs)) as Record<string, string>;
  return answer['attach:tcp'] ?? '';
}

async function move(drive: string, pool: string): Promise<void> {
  const answer = await server.post(`/admin/drives/${drive}/move`, `pool ${pool}`);
  expect([answer.status, answer.text]).toEqual([200, expect.stringContaining(`drive ${drive}`)]);
}

/** What writers do to their own half of the drive, and to what it must hold. */
interface Writing {
  readonly expected: Buffer;
  readonly random: SeededRandom;
  readonly start: number;
  readonly lengthBytes: number;
  writes: number;
  /** Those of `writes` that carried no data. */
  zeroings: number;
}

function nextWrite({ random, start, lengthBytes }: Writing): { at: number; data: Buffer } {
  const blocks = random.pick([1, 1, 3, 40]);
  const at = start + random.below(lengthBytes / BLOCK_BYTES - blocks) * BLOCK_BYTES;
  return {
    at,
    data: random.below(6) === 0 ? Buffer.alloc(blocks * BLOCK_BYTES) : random.bytes(blocks * BLOCK_BYTES),
  };
}

async function writeByHttp(drive: string, writing: Writing, isOver: () => boolean): Promise<void> {
  while (!isOver()) {
    const { at, data } = nextWrite(writing);
    const answer = await server.write(`${drive}/${at}`, data);
    if (answer.status !== 204) throw new Error(`A write was answered ${answer.status} ${answer.text}`);
    data.copy(writing.expected, at);
    writing.writes += 1;
  }
}

async function writeByNbd(client: NbdClient, writing: Writing, isOver: () => boolean): Promise<void> {
  while (!isOver()) {
    const { at, data } = nextWrite(writing);
    const isTrim = writing.random.below(10) === 0;
    if (isTrim) {
      const { error } = await client.ask({
        command: 'WRITE_ZEROES',
        offsetBytes: at,
        lengthBytes: data.length,
      });
      if (error !== 0) throw new Error(`WRITE_ZEROES was answered with ${error}`);
      data.fill(0);
      writing.zeroings += 1;
    } else await client.write(at, data, writing.random.below(8) === 0 ? 1 : 0);
    data.copy(writing.expected, at);
    writing.writes += 1;
    if (writing.writes % 16 === 0) {
      const found = await client.read(at, data.length);
      if (!found.equals(data)) throw new Error(`What was written at ${at} reads differently.`);
    }
  }
}

test.each(['aes-xts-plain', 'none'])(
  `a drive moves while servers and HTTP clients write to it, and nothing is lost (cipher %s, seed ${SEED})`,
  async (cipher) => {
    const random = seededRandom(SEED);
    const drive = await server.create(`size ${SIZE_BYTES}\nencryption:cipher ${cipher}\nclaim:type shared`);
    const expected = Buffer.alloc(SIZE_BYTES);
    for (const at of [0, 9 * MIB, 40 * MIB]) {
      const data = random.bytes(4 * MIB);
      data.copy(expected, at);
      expect((await server.write(`${drive}/${at}`, data)).status).toBe(204);
    }
    const uri = await claim(drive, `server ${randomUUID()}`);
    const before = await adminInfo(server, drive);
    let isOver = false;
    const quarter = SIZE_BYTES / 4;
    const writings = [0, 1, 2].map((index): Writing => ({
      expected,
      random,
      start: index * quarter,
      lengthBytes: quarter,
      writes: 0,
      zeroings: 0,
    }));
    using first = await connectNbd(uri);
    using second = await connectNbd(uri);
    const [one, two, three] = writings as [Writing, Writing, Writing];
    const work = Promise.all([
      writeByNbd(first, one, () => isOver),
      writeByNbd(second, two, () => isOver),
      writeByHttp(drive, three, () => isOver),
    ]);
    let pool = before['pool'] ?? '';
    for (let round = 0; round < 2; round += 1) {
      const writes = writings.map((writing) => writing.writes);
      pool = other(pool);
      await move(drive, pool);
      await Promise.race([untilMoved(server, base, drive, pool), work]);
      await expect
        .poll(() => writings.every((writing, index) => writing.writes > (writes[index] ?? 0) + 5))
        .toBe(true);
    }
    isOver = true;
    await work;
    await first.flush();
    expect((await server.read(drive, 0, SIZE_BYTES)).equals(expected)).toBe(true);
    expect((await first.read(0, 32 * MIB)).equals(expected.subarray(0, 32 * MIB))).toBe(true);
    const { pool: _pool, claimed, ...after } = await adminInfo(server, drive);
    expect(claimed).toBe(before['claimed']);
    for (const key of ['name', 'size', 'encryption:cipher', 'tier', 'user'])
      expect(after[key]).toBe(before[key]);
    const written = writings.reduce((sum, { writes, zeroings }) => sum + writes - zeroings, 0);
    expect(after['write:requests']).toBe(String(3 + written));
    expect(poolsOf(base, drive)).toEqual([pool]);
  },
);
