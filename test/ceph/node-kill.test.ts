// A soak of any length: DRIVEBAY_TEST_KILLS=500 npx vitest run --project ceph test/ceph/node-kill.test.ts
// To repeat the choices of a run: DRIVEBAY_TEST_SEED=<the seed that it printed>, with the same command.
import { expect, test } from 'vitest';
import { checkEverything } from '../fault/kill-check.ts';
import type { Model } from '../fault/kill-model.ts';
import { seededRandom } from '../fault/seeded-random.ts';
import type { ServerProcess } from '../helpers/server-process.ts';
import { startCephNodes } from './ceph-nodes.ts';
import type { CephNodes } from './ceph-nodes.ts';
import { checkNode, killUnderLoad } from './node-kill-load.ts';

const KILLS = Number(process.env['DRIVEBAY_TEST_KILLS'] ?? 8);
const SEED = Number(process.env['DRIVEBAY_TEST_SEED'] ?? Date.now() % 2 ** 31);
const NAMES = ['a', 'b', 'c'];

test(
  `what three nodes have acknowledged outlives ${KILLS} kills of one of them each`,
  { timeout: 180_000 + KILLS * 20_000 },
  async () => {
    const random = seededRandom(SEED);
    const model: Model = { drives: new Map(), creating: new Map(), acknowledged: 0 };
    await using cluster = await startCephNodes('kill');
    const nodes: ServerProcess[] = [];
    let kills = 0;
    try {
      for (const name of NAMES) nodes.push(await cluster.start(name));
      for (; kills < KILLS; kills += 1) await killOne(cluster, { nodes, model, random });
      for (const node of nodes) await checkEverything(node, model);
    } catch (error) {
      const logs = nodes.map(warningsOf).join('\n');
      throw new Error(`After ${kills} kills with DRIVEBAY_TEST_SEED=${SEED}: ${String(error)}\n${logs}`, {
        cause: error,
      });
    } finally {
      console.log(`DRIVEBAY_TEST_SEED=${SEED}: ${kills} kills, ${model.acknowledged} changes acknowledged`);
    }
    expect(model.acknowledged).toBeGreaterThan(KILLS);
  },
);

/** Kills a node, starts it again, and has one of them say what there is. */
async function killOne(
  cluster: CephNodes,
  load: { nodes: ServerProcess[]; model: Model; random: ReturnType<typeof seededRandom> },
): Promise<void> {
  const { nodes, random } = load;
  const index = random.below(NAMES.length);
  const [victim, name] = [nodes[index], NAMES[index]];
  if (victim === undefined || name === undefined) throw new Error('There is no such node.');
  nodes[index] = await killUnderLoad(load, victim, () => cluster.start(name));
  await checkNode(random.pick(nodes), load);
}

function warningsOf(server: ServerProcess): string {
  const lines = server.output().split('\n');
  return lines.filter((line) => /"level":"(?:warn|error|fatal)"/.test(line)).join('\n');
}
