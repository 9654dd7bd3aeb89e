import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { httpTarget, nbdTarget } from '../fault/block-targets.ts';
import { BLOCK_BYTES, writeBlocks, WrittenBlocks } from '../fault/numbered-blocks.ts';
import type { WriteBlock } from '../fault/numbered-blocks.ts';
import { startQemuWriter } from '../helpers/qemu-writer.ts';
import { untilPoolsAnswer } from '../helpers/server-process.ts';
import type { ServerProcess } from '../helpers/server-process.ts';
import { claimDrive, startCephNodes } from './ceph-nodes.ts';
import type { CephNodes } from './ceph-nodes.ts';
import { testCluster } from './scratch-rbd.ts';

// PostgreSQL is stopped under two busy nodes for longer than they may go on without it, and started again.

const AWAY_MS = 20_000;
/** A node goes on for ten seconds after it was last heard of, which it says every three. */
const SERVED_MS = 5_000;
const BLOCKS = Array.from({ length: 64 }, (_, block) => block);
const DRIVE_BYTES = BLOCKS.length * BLOCK_BYTES;
const LONG = { timeout: 240_000 };
const EVENTUALLY = { timeout: 60_000, interval: 50 };

let cluster: CephNodes;
let nodes: readonly ServerProcess[];

beforeAll(async () => {
  cluster = await startCephNodes('stop');
  nodes = [await cluster.start('a'), await cluster.start('b')];
  await Promise.all(nodes.map(untilPoolsAnswer));
});

afterAll(() => cluster[Symbol.asyncDispose]());

interface Writing {
  readonly drive: string;
  readonly log: WrittenBlocks;
  readonly isGuest: boolean;
  stop(): Promise<void>;
}

function startWriting(parts: {
  readonly drive: string;
  readonly write: WriteBlock;
  readonly lanes: number;
  readonly end: () => Promise<void>;
  readonly isGuest?: boolean;
}): Writing {
  const { drive, write, lanes, end, isGuest = false } = parts;
  const log = new WrittenBlocks('writer');
  let isStopped = false;
  const options = { name: 'writer', blocks: BLOCKS, lanes, write, log, isStopped: () => isStopped };
  const writing = writeBlocks(options);
  const stop = async (): Promise<void> => {
    isStopped = true;
    await writing;
    await end();
  };
  return { drive, log, isGuest, stop };
}

/** A guest, a client of NBD that connects anew, and one of HTTP. */
async function startWriters(node: ServerProcess): Promise<readonly Writing[]> {
  const [guest, nbd, http] = [
    await node.create(`size ${DRIVE_BYTES}`),
    await node.create(`size ${DRIVE_BYTES}`),
    await node.create(`size ${DRIVE_BYTES}`),
  ];
  const qemu = await startQemuWriter(await claimDrive(node, guest), join(cluster.scratch, guest));
  const target = nbdTarget(await claimDrive(node, nbd));
  return [
    startWriting({
      drive: guest,
      write: (block, data) => qemu.write(block * BLOCK_BYTES, data),
      lanes: 1,
      end: async () => await qemu[Symbol.asyncDispose](),
      isGuest: true,
    }),
    startWriting({
      drive: nbd,
      write: target.write,
      lanes: 8,
      end: async () => await Promise.resolve(target[Symbol.dispose]()),
    }),
    startWriting({ drive: http, write: httpTarget(node, http), lanes: 4, end: () => Promise.resolve() }),
  ];
}

/** Creates drives at all nodes until it is told to stop; answers those that were acknowledged, and all other answers. */
function startCreating(): () => Promise<{ made: readonly string[]; refusals: ReadonlySet<string> }> {
  const state = { isStopped: false };
  const made: string[] = [];
  const refusals = new Set<string>();
  const creating = Promise.all(
    nodes.map(async (node) => {
      while (!state.isStopped) {
        const name = randomUUID();
        const answer = await node.post('/drives/create', `name ${name}\nsize ${BLOCK_BYTES}`);
        if (answer.status === 200) made.push(name);
        else
          refusals.add(
            `${answer.status}, ${answer.headers['retry-after'] === undefined ? 'no ' : ''}Retry-After`,
          );
        await sleep(200);
      }
    }),
  );
  return async () => {
    state.isStopped = true;
    await creating;
    return { made, refusals };
  };
}

async function blocklist(): Promise<string> {
  return await testCluster().ceph('osd', 'blocklist', 'ls');
}

test(
  'two nodes go on after 20 s without PostgreSQL, neither keeps the other out, no guest sees an error, and nothing is lost',
  LONG,
  async () => {
    const writers = (await Promise.all(nodes.map(startWriters))).flat();
    const stopCreating = startCreating();
    const untilMore = async (some: readonly Writing[], writes: number): Promise<void> => {
      const enough = some.map(({ log }) => log.count + writes);
      await expect
        .poll(() => some.every(({ log }, index) => log.count >= (enough[index] ?? 0)), EVENTUALLY)
        .toBe(true);
    };
    await untilMore(writers, 50);
    const keptOut = await blocklist();
    await cluster.postgres.stop('immediate');
    const startAtMs = performance.now() + AWAY_MS;
    const attached = writers.filter(({ log }, index) => index % 3 !== 2 && log.count > 0);
    const before = attached.map(({ log }) => log.count);
    await sleep(SERVED_MS);
    // Connected servers do not notice for as long as no other node may take their drives over.
    for (const [index, { log }] of attached.entries()) expect(log.count).toBeGreaterThan(before[index] ?? 0);
    await sleep(startAtMs - performance.now());
    await cluster.postgres.start();
    const backAtMs = performance.now();
    await untilMore(writers, 50);
    console.log(
      `all writers go on ${((performance.now() - backAtMs) / 1000).toFixed(1)} s after PostgreSQL is back`,
    );
    await Promise.all(writers.map((writer) => writer.stop()));
    const { made, refusals } = await stopCreating();
    expect(await blocklist()).toBe(keptOut);

    for (const { drive, log, isGuest } of writers) {
      console.log(`${log.count} writes acknowledged, ${JSON.stringify(Object.fromEntries(log.refusals))}`);
      const passing = isGuest ? [] : ['gone', 'refused', '503 retry'];
      expect([...log.refusals.keys()].filter((answer) => !passing.includes(answer))).toEqual([]);
      for (const node of nodes) expect(log.violations(await node.read(drive, 0, DRIVE_BYTES))).toEqual([]);
    }
    expect(refusals).toEqual(new Set(['503, Retry-After']));
    const infos = (await nodes[0]?.json('/drives/info')) as readonly Record<string, string>[];
    const names = new Set(infos.map(({ name }) => name));
    expect(made.filter((name) => !names.has(name))).toEqual([]);
    expect(made.length).toBeGreaterThan(5);
  },
);
