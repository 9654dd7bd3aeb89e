// More rounds: DRIVEBAY_TEST_CUTS=30 npx vitest run --project ceph test/ceph/node-cut.test.ts
// To repeat the choices of a run: DRIVEBAY_TEST_SEED=<the seed that it printed>, with the same command.
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { nbdTarget } from '../fault/block-targets.ts';
import { BLOCK_BYTES, writeBlocks, WrittenBlocks } from '../fault/numbered-blocks.ts';
import { seededRandom } from '../fault/seeded-random.ts';
import { connectNbd } from '../helpers/nbd-client.ts';
import { namespaceProblem, startNetworkNamespace } from '../helpers/network-namespace.ts';
import type { Link, NetworkNamespace } from '../helpers/network-namespace.ts';
import { ADMIN_AUTH } from '../helpers/server-process.ts';
import type { ServerProcess } from '../helpers/server-process.ts';
import { claimDrive, startCephNodes, takeOverDrive, throughNode } from './ceph-nodes.ts';
import type { CephNodes } from './ceph-nodes.ts';
import { startRemoteWriter } from './remote-writer.ts';
import type { RemoteWriter } from './remote-writer.ts';

// A node in a network of its own, with a writer in there that never gives up, is cut off from what it needs. Another
// node takes its drives over, another writer writes to them, and the cut is mended.

const KINDS = ['the database', 'Ceph', 'everything'] as const;
const CUTS = Number(process.env['DRIVEBAY_TEST_CUTS'] ?? KINDS.length);
const SEED = Number(process.env['DRIVEBAY_TEST_SEED'] ?? Date.now() % 2 ** 31);
const BLOCKS = Array.from({ length: 96 }, (_, block) => block);
const DRIVE_BYTES = BLOCKS.length * BLOCK_BYTES;
/** More than a pool has threads, so that some writes wait behind others. */
const LANES = 24;
const EVENTUALLY = { timeout: 60_000, interval: 50 };

const problem = await namespaceProblem();
if (problem !== null) process.stderr.write(`No node is cut off: ${problem}\n`);

const random = seededRandom(SEED);
let links: Record<'database' | 'ceph', Link>;
let namespace: NetworkNamespace;
let nodes: CephNodes;
let far: ServerProcess;
let near: ServerProcess;

beforeAll(async () => {
  if (problem !== null) return;
  namespace = await startNetworkNamespace();
  links = {
    database: await namespace.link(),
    ceph: await namespace.link(inject('cephAddress') ?? ''),
  };
  nodes = await startCephNodes('cut', { address: links.database.address });
  near = await nodes.start('near');
  far = await nodes.start('far', { enter: namespace.enter, databaseHost: links.database.address });
});

afterAll(async () => {
  if (problem !== null) return;
  console.log(`DRIVEBAY_TEST_SEED=${SEED}`);
  await nodes[Symbol.asyncDispose]();
  await namespace[Symbol.asyncDispose]();
});

/** A drive, and who writes to it through the node that is cut off. */
interface Held {
  readonly drive: string;
  readonly log: WrittenBlocks;
  readonly writer: RemoteWriter;
}

async function writeByNbd(): Promise<Held> {
  const drive = await near.create(`size ${DRIVE_BYTES}\nencryption:cipher none`);
  const uri = throughNode(far, await claimDrive(near, drive));
  return { drive, ...startWriter({ kind: 'nbd', uri }) };
}

async function writeByHttp(): Promise<Held> {
  const drive = await near.create(`size ${DRIVE_BYTES}`);
  return { drive, ...startWriter({ kind: 'http', port: far.port, auth: ADMIN_AUTH, drive }) };
}

function startWriter(target: Parameters<typeof startRemoteWriter>[1]['target']): Omit<Held, 'drive'> {
  const log = new WrittenBlocks('old');
  const options = { name: 'old', blocks: BLOCKS, lanes: LANES, target };
  return { log, writer: startRemoteWriter(namespace.enter, options, log) };
}

/** A drive that another writer has taken over. */
interface TakenOver {
  readonly drive: string;
  /** What it held then. */
  readonly taken: Buffer;
  readonly log: WrittenBlocks;
  stop(): Promise<void>;
}

/** Takes a drive over, and writes to every other block. */
async function takeOver({ drive }: Held): Promise<TakenOver> {
  const uri = await takeOverDrive(near, drive);
  using client = await connectNbd(uri);
  const taken = await client.read(0, DRIVE_BYTES);
  const log = new WrittenBlocks('new');
  const target = nbdTarget(uri);
  let isStopped = false;
  const blocks = BLOCKS.filter((block) => block % 2 === 0);
  const parts = { name: 'new', blocks, lanes: 4, write: target.write, log, isStopped: () => isStopped };
  const writing = writeBlocks(parts);
  const stop = async (): Promise<void> => {
    isStopped = true;
    await writing;
    target[Symbol.dispose]();
  };
  return { drive, taken, log, stop };
}

/** What is wrong: the old writer has what it was acknowledged and no more, the new one all of it, the rest is untouched. */
async function violations(old: Held, { drive, taken, log }: TakenOver): Promise<readonly string[]> {
  await old.writer.settle();
  const now = await near.read(drive, 0, DRIVE_BYTES);
  const untouched = BLOCKS.filter((block) => block % 2 === 1).filter((block) => {
    const [start, end] = [block * BLOCK_BYTES, (block + 1) * BLOCK_BYTES];
    return !now.subarray(start, end).equals(taken.subarray(start, end));
  });
  return [
    ...old.log.violations(taken),
    ...log.violations(now),
    ...untouched.map((block) => `block ${block} was written late`),
  ];
}

async function untilMore(log: WrittenBlocks, writes: number): Promise<void> {
  const enough = log.count + writes;
  await expect.poll(() => log.count, EVENTUALLY).toBeGreaterThan(enough);
}

/** Until all of a writer's attempts are refused by a node that knows why: those that hung before are over. */
async function untilRefused({ log }: Held): Promise<void> {
  const refusals = (): number => (log.refusals.get('409') ?? 0) + (log.refusals.get('refused') ?? 0);
  const enough = refusals() + LANES;
  await expect.poll(refusals, EVENTUALLY).toBeGreaterThan(enough);
}

async function release(drive: string): Promise<void> {
  const claims = (await near.json(`/drives/${drive}/claims`)) as readonly Record<string, string>[];
  for (const { server } of claims) await near.post(`/drives/${drive}/release`, `server ${server}`);
}

function linksOf(kind: (typeof KINDS)[number]): readonly Link[] {
  if (kind === 'everything') return [links.database, links.ceph];
  return [kind === 'Ceph' ? links.ceph : links.database];
}

/** Answers what is wrong afterwards. */
async function cutOff(
  kind: (typeof KINDS)[number],
  [byNbd, byHttp]: readonly [Held, Held],
): Promise<readonly string[]> {
  await Promise.all([untilMore(byNbd.log, 200), untilMore(byHttp.log, 200)]);
  await sleep(random.below(500));
  await Promise.all(linksOf(kind).map((link) => link.cut()));
  const taken = await Promise.all([takeOver(byNbd), takeOver(byHttp)]);
  await Promise.all(taken.map(({ log }) => untilMore(log, 50)));
  await sleep(random.below(2_000));
  await Promise.all(linksOf(kind).map((link) => link.restore()));
  await Promise.all([untilRefused(byNbd), untilRefused(byHttp)]);
  await Promise.all(taken.map((each) => each.stop()));
  return [...(await violations(byNbd, taken[0])), ...(await violations(byHttp, taken[1]))];
}

/** The node that was cut off serves drives again, without anybody's doing. */
async function checkServes([byNbd, byHttp]: readonly [Held, Held]): Promise<void> {
  await Promise.all([release(byNbd.drive), release(byHttp.drive)]);
  await untilMore(byHttp.log, 50);
  const uri = throughNode(far, await claimDrive(near, byNbd.drive));
  const again = startWriter({ kind: 'nbd', uri });
  await untilMore(again.log, 50).finally(() => again.writer[Symbol.asyncDispose]());
}

test.for(Array.from({ length: CUTS }, (_, index) => KINDS[index % KINDS.length] ?? 'everything'))(
  'a node that is cut off from %s changes nothing of what others have taken over, and comes back by itself',
  { timeout: 240_000 },
  async (kind, { skip }) => {
    if (problem !== null) skip(problem);
    const held = [await writeByNbd(), await writeByHttp()] as const;
    try {
      expect(await cutOff(kind, held)).toEqual([]);
      await checkServes(held);
    } finally {
      for (const { writer, log } of held) {
        const refusals = JSON.stringify(Object.fromEntries(log.refusals));
        console.log(`cut off from ${kind}: ${log.count} writes acknowledged, ${refusals}`);
        await writer[Symbol.asyncDispose]();
      }
    }
  },
);
