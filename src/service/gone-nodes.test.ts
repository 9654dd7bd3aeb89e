import { afterEach, beforeEach, expect, test } from 'vitest';
import { createScratchService } from '../../test/helpers/scratch-service.ts';
import type { ScratchService } from '../../test/helpers/scratch-service.ts';
import { NODE_GRACE_MS, nodeStateAt } from '../core/node.ts';
import type { Node } from '../core/node.ts';
import { createGoneNodes } from './gone-nodes.ts';
import { noticeNodes, untilHeeded, untilOthersAreInLine } from './node-notices.ts';
import { registerNode } from './node-presence.ts';
import type { ServiceContext } from './service-context.ts';

const POOL = { driveId: '0000000d-0000-4000-8000-000000000000', poolName: 'default' };

let scratch: ScratchService;
let context: ServiceContext;
let nodes: Node[];
let calls: string[];
let beforeFence: () => Promise<void>;

beforeEach(async () => {
  scratch = await createScratchService();
  calls = [];
  beforeFence = () => Promise.resolve();
  nodes = [node('this', {})];
  const list = (): Promise<readonly Node[]> => Promise.resolve(nodes);
  const inner = scratch.context.metadata;
  const metadata = {
    ...inner,
    nodes: { ...inner.nodes, list },
    transaction: ((work) =>
      inner.transaction((tx) => work({ ...tx, nodes: { ...tx.nodes, list } }))) as typeof inner.transaction,
  };
  const pools = {
    ...scratch.context.pools,
    async fence(poolName: string, nodeId: string) {
      await beforeFence();
      calls.push(`${poolName} ${nodeId}`);
    },
  };
  const goneNodes = createGoneNodes({ ...scratch.context, metadata, pools });
  context = { ...scratch.context, metadata, pools, goneNodes };
});

afterEach(() => scratch[Symbol.asyncDispose]());

function node(nodeId: string, change: Partial<Node>): Node {
  const described = { host: nodeId, address: `${nodeId}:8600`, version: '1.0.0', nbd: null };
  const times = { startedAtMs: 1, heartbeatAtMs: 2 };
  return { nodeId, ...described, ...times, state: 'up', hasEnded: false, revision: 1, ...change };
}

async function change(): Promise<void> {
  const sent = await context.metadata.transaction((tx) => noticeNodes(context, tx, POOL));
  await untilHeeded(context, POOL.driveId, sent);
}

test('a change of a drive is answered once a node that is gone is kept from what it has under way', async () => {
  nodes.push(node('lost', { state: 'gone' }));
  const { promise, resolve } = Promise.withResolvers<void>();
  beforeFence = () => promise;
  let isAnswered = false;
  const answer = change().then(() => {
    isAnswered = true;
  });
  await new Promise((later) => {
    setTimeout(later, 50);
  });
  expect(isAnswered).toBe(false);
  resolve();
  await answer;
  expect(calls).toEqual(['default lost']);
});

test('once is enough for each life of a node, and a node that has ended needs nothing', async () => {
  nodes.push(node('ended', { state: 'gone', hasEnded: true }), node('lost', { state: 'gone' }));
  await change();
  await change();
  await context.goneNodes.fenceAll();
  expect(calls).toEqual(['default lost']);
  nodes = [node('this', {}), node('lost', { state: 'gone', heartbeatAtMs: 3 })];
  await change();
  expect(calls).toEqual(['default lost', 'default lost']);
});

test('nodes that are gone are kept out also when nobody asks for their drives', async () => {
  nodes.push(node('up', {}), node('lost', { state: 'gone' }));
  await context.goneNodes.fenceAll();
  expect(calls).toEqual(['default lost']);
});

test('a change fails while a node that is gone cannot be kept out', async () => {
  nodes.push(node('lost', { state: 'gone' }));
  beforeFence = () => Promise.reject(new Error('The cluster is away.'));
  await expect(change()).rejects.toThrow('The cluster is away.');
  beforeFence = () => Promise.resolve();
  await change();
  expect(calls).toEqual(['default lost']);
});

test('a node that is there, but has not done what it was told for 15 s, is kept out, and not waited for until it has', async () => {
  nodes.push(node('hanging', {}));
  const { metadata } = context;
  const described = { host: 'h', address: 'h:8600', version: '1.0.0', nbd: null };
  await metadata.transaction((tx) => tx.nodes.register({ nodeId: 'hanging', ...described }));
  const untilLate = async (notices: number): Promise<void> => {
    const fences = calls.length;
    const answer = change();
    await expect.poll(() => metadata.notices.listOf('hanging', 9)).toHaveLength(notices);
    scratch.clock.nowMs += 14_000;
    await new Promise((later) => {
      setTimeout(later, 200);
    });
    expect(calls).toHaveLength(fences);
    scratch.clock.nowMs += 1_000;
    await answer;
  };
  await untilLate(1);
  expect(calls).toEqual(['default hanging']);
  // It may have connected anew, and hang again.
  await change();
  expect(calls).toEqual(['default hanging', 'default hanging']);
  const open = await metadata.notices.listOf('hanging', 9);
  await metadata.transaction((tx) => tx.notices.remove(open.map(({ noticeId }) => noticeId)));
  await untilLate(1);
  expect(calls).toHaveLength(3);
});

test('so they are before a server is served that may come from one of them', async () => {
  nodes.push(node('lost', { state: 'gone' }));
  await untilOthersAreInLine(context, POOL);
  expect(calls).toEqual([]);
  await untilOthersAreInLine({ ...context, mayHaveOtherNodes: true }, POOL);
  expect(calls).toEqual(['default lost']);
});

test('when the database is back after it was away for all, only a node that is dead is kept out, after a time of grace', async () => {
  const { clock } = scratch;
  // The nodes' signs of life by a clock that the test moves.
  const heard = new Map<string, number>();
  nodes = [];
  const beatAt = (nodeId: string): Promise<number> => {
    heard.set(nodeId, clock.nowMs);
    nodes = [...heard].map(([each, heartbeatAtMs]) =>
      node(each, { heartbeatAtMs, state: nodeStateAt({ state: 'up', heartbeatAtMs }, clock.nowMs) }),
    );
    return Promise.resolve(clock.nowMs);
  };
  const { metadata } = context;
  const transaction = ((work) =>
    metadata.transaction((tx) =>
      work({ ...tx, nodes: { ...tx.nodes, beat: beatAt } }),
    )) as typeof metadata.transaction;
  const begin = async (nodeId: string) => {
    const self = await registerNode({
      metadata: { ...metadata, transaction },
      description: { nodeId, host: nodeId, address: `${nodeId}:1`, version: '1.0.0', nbd: null },
      isAlone: false,
      clock: { nowMs: () => clock.nowMs, monotonicMs: () => clock.nowMs },
    });
    return { self, goneNodes: createGoneNodes({ ...context, node: self }) };
  };
  const [one, two] = [await begin('one'), await begin('two')];
  await begin('dead');
  const beatBoth = async (ms: number): Promise<void> => {
    for (const endMs = clock.nowMs + ms; clock.nowMs < endMs; clock.nowMs += 1_000)
      for (const { self } of [one, two]) await self.beat();
  };
  await beatBoth(NODE_GRACE_MS);
  clock.nowMs += 20_000;
  await one.self.beat();
  expect(nodes.filter(({ state }) => state === 'gone').map(({ nodeId }) => nodeId)).toEqual(['two', 'dead']);
  await one.goneNodes.fenceAll();
  clock.nowMs += NODE_GRACE_MS / 2;
  await one.self.beat();
  await one.goneNodes.fenceAll();
  await two.goneNodes.fenceAll();
  expect(calls).toEqual([]);
  await two.self.beat();
  await beatBoth(NODE_GRACE_MS);
  for (const { goneNodes } of [one, two]) await goneNodes.fenceAll();
  expect(calls).toEqual(['default dead', 'default dead']);
});

test('a change waits for a node of which it is not known yet whether it is gone, until it has heeded it or is', async () => {
  nodes.push(node('silent', { state: 'gone' }));
  const { metadata } = context;
  const described = { host: 'h', address: 'h:8600', version: '1.0.0', nbd: null };
  await metadata.transaction((tx) => tx.nodes.register({ nodeId: 'silent', ...described }));
  let isSure = false;
  const takesForGone = ({ state }: Pick<Node, 'state'>): boolean => isSure && state === 'gone';
  const listOpen: typeof metadata.notices.listOpen = async (ids) =>
    (await metadata.notices.listOpen(ids)).map((open) => ({
      ...open,
      node: { state: 'gone', hasEnded: false },
    }));
  const notices = { ...metadata.notices, listOpen };
  context = { ...context, metadata: { ...metadata, notices }, node: { ...context.node, takesForGone } };
  let isAnswered = false;
  const begin = (): Promise<void> => {
    isAnswered = false;
    return change().then(() => {
      isAnswered = true;
    });
  };
  const heeded = begin();
  await expect.poll(() => metadata.notices.listOf('silent', 9)).toHaveLength(1);
  const [notice] = await metadata.notices.listOf('silent', 9);
  expect(isAnswered).toBe(false);
  await metadata.transaction((tx) => tx.notices.remove([notice?.noticeId ?? '']));
  await heeded;
  expect(calls).toEqual([]);
  const kept = begin();
  await new Promise((later) => {
    setTimeout(later, 200);
  });
  expect(isAnswered).toBe(false);
  isSure = true;
  await kept;
  expect(calls).toEqual(['default silent']);
});
