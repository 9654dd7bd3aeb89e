import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { NODE_APART_MS, NODE_FENCE_MS, NODE_GRACE_MS } from '../core/node.ts';
import type { MetadataStore } from '../metadata/metadata-store.ts';
import { openSqliteStore } from '../metadata/sqlite/sqlite-store.ts';
import { registerNode } from './node-presence.ts';
import type { NodePresence } from './node-presence.ts';

const HOUR_MS = 3_600_000;
const DESCRIPTION = { nodeId: 'this', host: 'vm1', address: 'vm1:8600', version: '1.0.0', nbd: null };

let directory: string;
let metadata: MetadataStore;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'drivebay-presence-'));
  metadata = await openSqliteStore({ path: join(directory, 'metadata.sqlite') });
});

afterEach(async () => {
  await metadata.close();
  await rm(directory, { recursive: true });
});

async function register(host = 'vm1', nowMs = () => Date.now()): Promise<NodePresence> {
  const description = { ...DESCRIPTION, host };
  const clock = { nowMs, monotonicMs: () => performance.now() };
  return await registerNode({ metadata, description, clock, isAlone: false });
}

/** How far the node is from the time of the database, which is this machine's, once an answer was quick enough to tell. */
async function skewOf(node: NodePresence): Promise<number> {
  const skew = async (): Promise<number> => {
    await node.beat();
    return Math.abs(node.nowMs() - Date.now());
  };
  for (let attempt = 0; attempt < 20; attempt += 1) if ((await skew()) < HOUR_MS / 2) break;
  return await skew();
}

test('the time is that of the database, whatever the clock of the machine says', async () => {
  for (const skewMs of [-HOUR_MS, 0, HOUR_MS]) {
    const node = await register('vm1', () => Date.now() + skewMs);
    expect(await skewOf(node)).toBeLessThan(2_000);
  }
});

test('what takes long to be answered says nothing of the time', async () => {
  const machine = { skewMs: 0 };
  const node = await register('vm1', () => Date.now() + machine.skewMs);
  const transaction = metadata.transaction.bind(metadata);
  metadata.transaction = async (work) => {
    const result = await transaction(work);
    machine.skewMs += HOUR_MS;
    return result;
  };
  await node.beat();
  // The clock was set while the answer came: until the next sign of life it is taken at its word.
  expect(Math.abs(node.nowMs() - (Date.now() + HOUR_MS))).toBeLessThan(2_000);
  metadata.transaction = transaction;
  expect(await skewOf(node)).toBeLessThan(2_000);
});

test('a copied data directory is refused on another machine while its node is there', async () => {
  const node = await register();
  await expect(register('vm2')).rejects.toMatchObject({
    code: 'busy',
    message: expect.stringContaining('remove node-id from the copy'),
  });
  await expect(register()).resolves.toBeDefined();
  await node.end();
  await expect(register('vm2')).resolves.toBeDefined();
});

test('a node that was forgotten is there again with its next sign of life', async () => {
  const node = await register();
  await metadata.transaction((tx) => tx.nodes.removeUnheard(-60_000));
  expect(await metadata.nodes.list()).toEqual([]);
  await node.beat();
  expect(await metadata.nodes.list()).toMatchObject([{ nodeId: 'this', state: 'up' }]);
});

describe('of nodes that were not heard of', () => {
  const BEAT_MS = 3_000;
  const SILENT = { state: 'gone', hasEnded: false } as const;
  let clock: { monotonicMs: number };

  async function begin(isAlone = false): Promise<NodePresence> {
    clock = { monotonicMs: 0 };
    return await registerNode({
      metadata,
      description: DESCRIPTION,
      isAlone,
      clock: { nowMs: () => Date.now(), monotonicMs: () => clock.monotonicMs },
    });
  }

  /** Gives signs of life, as a node does that is in touch. */
  async function beatFor(node: NodePresence, ms: number): Promise<void> {
    for (const endMs = clock.monotonicMs + ms; clock.monotonicMs < endMs;) {
      clock.monotonicMs = Math.min(clock.monotonicMs + BEAT_MS, endMs);
      await node.beat();
    }
  }

  test('a node takes none to be gone before it has been in touch for so long that it would have heard of them', async () => {
    const node = await begin();
    await beatFor(node, NODE_GRACE_MS - 1);
    expect(node.takesForGone(SILENT)).toBe(false);
    await beatFor(node, 1);
    expect(node.takesForGone(SILENT)).toBe(true);
  });

  test('a node that was cut off takes none to be gone, nor for a time once it is back, but then does', async () => {
    const node = await begin();
    await beatFor(node, NODE_GRACE_MS);
    clock.monotonicMs += NODE_APART_MS;
    expect(node.takesForGone(SILENT)).toBe(true);
    clock.monotonicMs += 1;
    expect(node.takesForGone(SILENT)).toBe(false);
    clock.monotonicMs += 60_000;
    expect(node.takesForGone(SILENT)).toBe(false);
    await node.beat();
    expect(node.takesForGone(SILENT)).toBe(false);
    await beatFor(node, NODE_GRACE_MS - 1);
    expect(node.takesForGone(SILENT)).toBe(false);
    await beatFor(node, 1);
    expect(node.takesForGone(SILENT)).toBe(true);
  });

  test('the time for which a node was cut off counts from when its sign of life began', async () => {
    const node = await begin();
    await beatFor(node, NODE_GRACE_MS);
    const transaction = metadata.transaction.bind(metadata);
    metadata.transaction = async (work) => {
      clock.monotonicMs += NODE_APART_MS + 1;
      return await transaction(work);
    };
    await node.beat();
    expect(node.takesForGone(SILENT)).toBe(false);
  });

  test('a node that is there is never taken to be gone, and one that has ended always is', async () => {
    const node = await begin();
    const ended = { state: 'gone', hasEnded: true } as const;
    expect(node.takesForGone(ended)).toBe(true);
    await beatFor(node, NODE_GRACE_MS);
    for (const state of ['up', 'draining'] as const)
      expect(node.takesForGone({ state, hasEnded: false })).toBe(false);
    clock.monotonicMs += NODE_FENCE_MS + 1;
    expect(node.takesForGone(ended)).toBe(true);
  });

  test('a node that can have no others is never cut off from them', async () => {
    const node = await begin(true);
    clock.monotonicMs += 60_000;
    expect(node.isFenced).toBe(false);
    expect(node.takesForGone(SILENT)).toBe(true);
  });
});
