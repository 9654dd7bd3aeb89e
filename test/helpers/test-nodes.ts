import { randomInt } from 'node:crypto';
import { afterEach } from 'vitest';
import { seededRandom } from '../fault/seeded-random.ts';
import type { SeededRandom } from '../fault/seeded-random.ts';

// To repeat the choices of nodes: DRIVEBAY_TEST_SEED=<the seed that was printed>, with the same command.
const SEED = Number(process.env['DRIVEBAY_TEST_SEED'] ?? randomInt(2 ** 31));

let servers = 0;

/** How many nodes each server of a test is. */
export function nodeCount(): number {
  return Number(process.env['DRIVEBAY_TEST_NODES'] ?? 1);
}

/** What decides which node a request goes to: for the next server of this file. */
export function nextRandom(): SeededRandom {
  servers += 1;
  return seededRandom(SEED + servers);
}

/** Skips the test where servers are several nodes, and says why. */
export function skipOnNodes(
  context: { skip(note: string): never; task: { name: string } },
  reason: string,
): void {
  if (nodeCount() === 1) return;
  process.stderr.write(`Needs one node: ${context.task.name}: ${reason}\n`);
  context.skip(reason);
}

afterEach(({ task }) => {
  const isFailed = task.result?.state === 'fail';
  if (nodeCount() > 1 && isFailed) process.stderr.write(`DRIVEBAY_TEST_SEED=${SEED}: ${task.name}\n`);
});
