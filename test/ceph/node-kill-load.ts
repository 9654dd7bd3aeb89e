import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { withBytes, withUnknown } from '../fault/drive-content.ts';
import { checkAfterKill } from '../fault/kill-check.ts';
import { useUntilKilled } from '../fault/kill-load.ts';
import { Violation } from '../fault/kill-model.ts';
import type { Info, Model, ModelDrive } from '../fault/kill-model.ts';
import type { SeededRandom } from '../fault/seeded-random.ts';
import { connectNbd, NbdGone } from '../helpers/nbd-client.ts';
import type { ServerProcess } from '../helpers/server-process.ts';

const SECTOR_BYTES = 512;
const MOST_WRITES = 8;
const MOST_WRITTEN_SECTORS = 256;
const ACKNOWLEDGED_TIMEOUT_MS = 10_000;
const RECOVERY_TIMEOUT_MS = 60_000;

export interface NodesUnderLoad {
  readonly nodes: readonly ServerProcess[];
  readonly model: Model;
  readonly random: SeededRandom;
}

/**
 * Has two users on each node, kills one of the nodes in the middle, and has the others go on without it and while it starts
 * again. Who has asked them for what concerns the lost node waits for that.
 */
export async function killUnderLoad(
  { nodes, model, random }: NodesUnderLoad,
  victim: ServerProcess,
  restart: () => Promise<ServerProcess>,
): Promise<ServerProcess> {
  const state = { isKilled: false, isStopped: false };
  const isStopped = (): boolean => state.isStopped;
  const users = [...nodes, ...nodes].map(async (node) => {
    const isKilled = (): boolean => state.isKilled && node === victim;
    const attach = async (drive: ModelDrive): Promise<void> =>
      await useByServer({ node, model, random }, drive);
    await useUntilKilled({ client: node, model, random, isKilled, isStopped, isPassing, attach });
  });
  const all = Promise.all(users);
  try {
    const pause = sleep(random.between(5, random.pick([50, 150, 400])));
    await Promise.race([Promise.all([pause, untilAcknowledged(model, random.between(0, 5))]), all]);
    state.isKilled = true;
    await victim.stop('SIGKILL');
    await sleep(random.between(0, random.pick([0, 200, 1000])));
    return await restart();
  } finally {
    state.isKilled = true;
    state.isStopped = true;
    await victim.stop('SIGKILL');
    await all;
  }
}

/** On a machine that is too busy the database takes too long, and nodes that could not reach it for 10 s cut servers. */
function isPassing(error: unknown): boolean {
  return error instanceof NbdGone || /: 503 /.test(String(error));
}

/** Does what can be done again, until the nodes have recovered from being too slow. */
async function untilAnswered(work: () => Promise<void>): Promise<void> {
  const deadlineMs = performance.now() + RECOVERY_TIMEOUT_MS;
  for (;;) {
    try {
      return await work();
    } catch (error) {
      if (!isPassing(error) || performance.now() > deadlineMs) throw error;
    }
    await sleep(100);
  }
}

/** A slow machine must not be killed before it has acknowledged anything. */
async function untilAcknowledged(model: Model, changes: number): Promise<void> {
  const enough = model.acknowledged + changes;
  const deadlineMs = performance.now() + ACKNOWLEDGED_TIMEOUT_MS;
  while (model.acknowledged < enough && performance.now() < deadlineMs) await sleep(2);
}

/** A server claims the drive, writes to it and lets go of it. */
async function useByServer(
  { node, model, random }: { node: ServerProcess; model: Model; random: SeededRandom },
  drive: ModelDrive,
): Promise<void> {
  const server = randomUUID();
  const claim = (await node.json(`/drives/${drive.id}/claim`, `server ${server}`)) as Record<string, string>;
  using client = await connectNbd(String(claim['attach:tcp']));
  const sectors = Math.floor(drive.version.sizeBytes / SECTOR_BYTES);
  for (let left = random.between(1, MOST_WRITES); left > 0; left -= 1) {
    const first = random.below(sectors);
    const last = Math.min(sectors, first + random.between(1, MOST_WRITTEN_SECTORS));
    const range = { start: first * SECTOR_BYTES, end: last * SECTOR_BYTES };
    drive.version = { ...drive.version, content: withUnknown(drive.version.content, range) };
    const data = random.bytes(range.end - range.start);
    await client.write(range.start, data);
    drive.version = { ...drive.version, content: withBytes(drive.version.content, range.start, data) };
    model.acknowledged += 1;
  }
  await client.flush();
  await client.leave();
  const released = await node.post(`/drives/${drive.id}/release`, `server ${server}`);
  if (released.status !== 204) throw new Violation(`release: ${released.status} ${released.text}`);
}

/** What the node says is what the model says, and servers that were lost with their node hold nothing any more. */
export async function checkNode(node: ServerProcess, { model, random }: NodesUnderLoad): Promise<void> {
  const areActive = async (): Promise<boolean> => {
    const infos = (await node.json('/drives/info')) as readonly Info[];
    return infos.every(({ status }) => status === 'active');
  };
  await untilAnswered(async () => {
    if (!(await areActive())) throw new Error('/drives/info: 503 a pool is inactive');
  });
  await untilAnswered(async () => await checkAfterKill(node, model, random));
  await untilAnswered(async () => await releaseAll(node, model));
}

/** Lets go of what servers hold that were lost with their node. */
async function releaseAll(node: ServerProcess, model: Model): Promise<void> {
  for (const { id } of model.drives.values()) {
    const claims = (await node.json(`/drives/${id}/claims`)) as readonly Record<string, string>[];
    for (const { server } of claims) {
      const released = await node.post(`/drives/${id}/release`, `server ${server}`);
      if (released.status !== 204) throw new Violation(`release: ${released.status} ${released.text}`);
    }
  }
}
