import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
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
  return await registerNode({ metadata, description, clock, fenceMs: Infinity });
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
