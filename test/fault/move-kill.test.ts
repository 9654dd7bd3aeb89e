// A soak of any length: DRIVEBAY_TEST_KILLS=500 npx vitest run --project e2e test/fault/move-kill.test.ts
// To repeat the choices of a run: DRIVEBAY_TEST_SEED=<the seed that it printed>, with the same command.
import { randomUUID } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { connectNbd, NbdGone } from '../helpers/nbd-client.ts';
import { adminInfo, poolsOf, startWithPools, untilMoved } from '../helpers/pool-server.ts';
import { scratchDirectory } from '../helpers/server-process.ts';
import type { ServerProcess } from '../helpers/server-process.ts';
import { difference, plainContent, withBytes, withUnknown, zeros } from './drive-content.ts';
import type { Content } from './drive-content.ts';
import { seededRandom } from './seeded-random.ts';
import type { SeededRandom } from './seeded-random.ts';

const KILLS = Number(process.env['DRIVEBAY_TEST_KILLS'] ?? 6);
const SEED = Number(process.env['DRIVEBAY_TEST_SEED'] ?? Date.now() % 2 ** 31);
const MIB = 2 ** 20;
const SIZE_BYTES = 32 * MIB;
const BLOCK_BYTES = 4096;
const POOLS = [{ name: 'one' }, { name: 'two' }];

/** A drive and what it may hold. Each lane writes to a part of its own. */
interface Moving {
  readonly drive: string;
  readonly random: SeededRandom;
  content: Content;
  acknowledged: number;
}

type Write = (at: number, data: Buffer) => Promise<void>;

async function writeUntilKilled(moving: Moving, lane: number, write: Write): Promise<void> {
  const { random } = moving;
  const start = lane * (SIZE_BYTES / 4);
  for (;;) {
    const blocks = random.pick([1, 1, 8, 64]);
    const at = start + random.below(SIZE_BYTES / 4 / BLOCK_BYTES - blocks) * BLOCK_BYTES;
    const data = random.bytes(blocks * BLOCK_BYTES);
    moving.content = withUnknown(moving.content, { start: at, end: at + data.length });
    await write(at, data);
    moving.content = withBytes(moving.content, at, data);
    moving.acknowledged += 1;
  }
}

/** Moves the drive to and fro while it is written to, until the server is killed. */
async function useUntilKilled(server: ServerProcess, moving: Moving): Promise<void> {
  const { drive, random } = moving;
  let isKilled = false;
  const claim = await server.json(`/drives/${drive}/claim`, `server ${randomUUID()}`);
  using client = await connectNbd((claim as Record<string, string>)['attach:tcp'] ?? '');
  const byNbd: Write = (at, data) => client.write(at, data, 1);
  const byHttp: Write = async (at, data) => {
    const { status, text } = await server.write(`${drive}/${at}`, data);
    if (status !== 204) throw new Error(`A write was answered ${status} ${text}`);
  };
  const move = async (): Promise<never> => {
    for (;;) {
      const { pool, 'moving:to': to } = await adminInfo(server, drive);
      const target = pool === 'one' ? 'two' : 'one';
      if (to === undefined) await server.json(`/admin/drives/${drive}/move`, `pool ${target}`);
      await sleep(20);
    }
  };
  const work = [
    writeUntilKilled(moving, 0, byNbd),
    writeUntilKilled(moving, 1, byHttp),
    writeUntilKilled(moving, 2, byHttp),
    move(),
  ];
  const ended = work.map((each) =>
    each.catch((error: unknown) => {
      if (!isKilled) throw error;
    }),
  );
  try {
    await Promise.race([sleep(random.between(5, random.pick([100, 400, 1200]))), ...ended]);
  } finally {
    isKilled = true;
    await server.stop('SIGKILL');
  }
  await Promise.all(ended);
}

/** Whatever was acknowledged is there; what was under way is known from now on. */
async function readBack(server: ServerProcess, moving: Moving): Promise<void> {
  const actual = await server.read(moving.drive, 0, SIZE_BYTES);
  const problem = difference(moving.content, actual);
  if (problem !== null) throw new Error(problem);
  moving.content = plainContent(actual);
}

test(
  `a drive that moves outlives ${KILLS} kills with all that was acknowledged`,
  { timeout: 120_000 + KILLS * 20_000 },
  async () => {
    const base = await scratchDirectory();
    const random = seededRandom(SEED);
    let kills = 0;
    let moving: Moving | null = null;
    try {
      await using first = await startWithPools(base, POOLS);
      const drive = await first.create(`size ${SIZE_BYTES}\nclaim:type shared`);
      moving = { drive, random, content: zeros(SIZE_BYTES), acknowledged: 0 };
      for (const at of [0, 20 * MIB]) {
        const data = random.bytes(12 * MIB);
        expect((await first.write(`${drive}/${at}`, data)).status).toBe(204);
        moving.content = withBytes(moving.content, at, data);
      }
      await first.stop();
      for (; kills < KILLS; kills += 1) {
        const server = await startWithPools(base, POOLS);
        await readBack(server, moving);
        await useUntilKilled(server, moving);
      }
      await using last = await startWithPools(base, POOLS);
      await readBack(last, moving);
      const { pool = '', 'moving:to': to = pool } = await adminInfo(last, drive);
      await untilMoved(last, base, drive, to);
      await readBack(last, moving);
      expect(poolsOf(base, drive)).toEqual([to]);
    } catch (error) {
      if (error instanceof NbdGone) throw error;
      throw new Error(`After ${kills} kills with DRIVEBAY_TEST_SEED=${SEED}: ${String(error)}`, {
        cause: error,
      });
    } finally {
      console.log(`DRIVEBAY_TEST_SEED=${SEED}: ${kills} kills, ${moving?.acknowledged} writes acknowledged`);
      await rm(base, { recursive: true, force: true });
    }
  },
);
