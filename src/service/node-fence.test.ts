import { afterEach, beforeEach, expect, test } from 'vitest';
import { createScratchService } from '../../test/helpers/scratch-service.ts';
import type { ScratchService } from '../../test/helpers/scratch-service.ts';
import { NODE_FENCE_MS } from '../core/node.ts';
import { createNodeFence, refuseFenced } from './node-fence.ts';
import { registerNode } from './node-presence.ts';
import type { NodePresence } from './node-presence.ts';

let scratch: ScratchService;
let node: NodePresence;
let nowMs = 0;

beforeEach(async () => {
  nowMs = 0;
  scratch = await createScratchService();
  node = await registerNode({
    metadata: scratch.context.metadata,
    description: { nodeId: 'this', host: 'h', address: 'h:1', version: '1.0.0', nbd: null },
    isAlone: false,
    clock: { nowMs: () => Date.now(), monotonicMs: () => nowMs },
  });
});

afterEach(() => scratch[Symbol.asyncDispose]());

async function cutPools(): Promise<readonly string[]> {
  await createNodeFence({ ...scratch.context, node }).check();
  return scratch.connections.cutPools;
}

test('a node is fenced once its last sign of life, from its beginning on, is too long ago', async () => {
  nowMs = NODE_FENCE_MS;
  expect(node.isFenced).toBe(false);
  nowMs += 1;
  expect(node.isFenced).toBe(true);
  const { metadata } = scratch.context;
  const transaction = metadata.transaction.bind(metadata);
  metadata.transaction = async (work) => {
    nowMs += 60;
    return await transaction(work);
  };
  await node.beat();
  expect(node.isFenced).toBe(false);
  nowMs += NODE_FENCE_MS - 59;
  expect(node.isFenced).toBe(true);
  metadata.transaction = () => Promise.reject(new Error('It is away.'));
  await expect(node.beat()).rejects.toThrow('away');
  expect(node.isFenced).toBe(true);
});

test('while it is fenced a node cuts and refuses what is in pools that others can reach', async () => {
  const context = { ...scratch.context, node };
  expect(await cutPools()).toEqual([]);
  nowMs = NODE_FENCE_MS + 1;
  expect(await cutPools()).toEqual(['default']);
  expect(() => refuseFenced(context, 'default')).toThrow('lost touch');
});

test('what is in its own pools goes on', async () => {
  const { metadata, poolOwners } = scratch.context;
  await metadata.transaction((tx) =>
    tx.nodes.putPool({ poolName: 'default', nodeId: 'this', domain: 'here' }),
  );
  await poolOwners.refresh();
  nowMs = NODE_FENCE_MS + 1;
  expect(await cutPools()).toEqual([]);
  expect(() => refuseFenced({ ...scratch.context, node }, 'default')).not.toThrow();
});
