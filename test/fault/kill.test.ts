// A soak of any length: DRIVEBAY_TEST_KILLS=5000 npx vitest run --project e2e test/fault/kill.test.ts
// To repeat the choices of a run: DRIVEBAY_TEST_SEED=<the seed that it printed>, with the same command.
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { scratchDirectory, startServer } from '../helpers/server-process.ts';
import type { ServerProcess } from '../helpers/server-process.ts';
import { checkAfterKill, checkEverything } from './kill-check.ts';
import { useUntilKilled } from './kill-load.ts';
import type { Model } from './kill-model.ts';
import { seededRandom } from './seeded-random.ts';
import type { SeededRandom } from './seeded-random.ts';

const KILLS = Number(process.env['DRIVEBAY_TEST_KILLS'] ?? 100);
const SEED = Number(process.env['DRIVEBAY_TEST_SEED'] ?? Date.now() % 2 ** 31);
const USERS = 4;
const ACKNOWLEDGED_TIMEOUT_MS = 5_000;

test(
  `what is acknowledged outlives ${KILLS} kills, and nothing half made is ever visible`,
  { timeout: 120_000 + KILLS * 5000 },
  async () => {
    const random = seededRandom(SEED);
    const model: Model = { drives: new Map(), creating: new Map(), acknowledged: 0 };
    const scratch = await scratchDirectory();
    // Compiled code that is kept halves the time that a start takes; only a clean stop keeps it.
    const env = { NODE_COMPILE_CACHE: join(scratch, 'compiled') };
    const options = { dataDirectory: join(scratch, 'data'), env };
    let kills = 0;
    let log = '';
    try {
      await (await startServer(options)).stop();
      for (; kills < KILLS; kills += 1) {
        const server = await startServer(options);
        try {
          await checkAfterKill(server, model, random);
          await killUnderLoad(server, model, random);
        } finally {
          await server.stop('SIGKILL');
          log += warningsOf(server);
        }
      }
      await using last = await startServer(options);
      await checkAfterKill(last, model, random);
      await checkEverything(last, model);
    } catch (error) {
      throw new Error(`After ${kills} kills with DRIVEBAY_TEST_SEED=${SEED}: ${String(error)}\n${log}`, {
        cause: error,
      });
    } finally {
      console.log(`DRIVEBAY_TEST_SEED=${SEED}: ${kills} kills, ${model.acknowledged} changes acknowledged`);
      await rm(scratch, { recursive: true, force: true });
    }
    expect(model.acknowledged).toBeGreaterThan(KILLS);
  },
);

function warningsOf(server: ServerProcess): string {
  const lines = server.output().split('\n');
  return lines.filter((line) => /"level":"(?:warn|error|fatal)"/.test(line)).join('\n');
}

async function killUnderLoad(server: ServerProcess, model: Model, random: SeededRandom): Promise<void> {
  let isKilled = false;
  const load = {
    client: server,
    model,
    random,
    isKilled: () => isKilled,
    isStopped: () => false,
    isPassing: () => false,
    attach: null,
  };
  const users = Promise.all(Array.from({ length: USERS }, () => useUntilKilled(load)));
  try {
    const pause = sleep(random.between(5, random.pick([50, 150, 400])));
    // A slow machine must not be killed before it has acknowledged anything.
    const enough = untilAcknowledged(model, model.acknowledged + random.between(0, 5));
    await Promise.race([Promise.all([pause, enough]), users]);
  } finally {
    isKilled = true;
    await server.stop('SIGKILL');
  }
  await users;
}

async function untilAcknowledged(model: Model, changes: number): Promise<void> {
  const deadlineMs = performance.now() + ACKNOWLEDGED_TIMEOUT_MS;
  while (model.acknowledged < changes && performance.now() < deadlineMs) await sleep(2);
}
