import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { insertDrive } from '../metadata/describe-sample-rows.ts';
import type { MetadataStore } from '../metadata/metadata-store.ts';
import { openSqliteStore } from '../metadata/sqlite/sqlite-store.ts';
import { takeOverPools, takePools } from './take-pools.ts';

let directory: string;
let metadata: MetadataStore;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'drivebay-pools-'));
  metadata = await openSqliteStore({ path: join(directory, 'metadata.sqlite') });
  for (const nodeId of ['a', 'b'])
    await metadata.transaction((tx) =>
      tx.nodes.register({
        nodeId,
        host: `vm-${nodeId}`,
        address: `${nodeId}:8600`,
        version: '1.0.0',
        nbd: null,
      }),
    );
});

afterEach(async () => {
  await metadata.close();
  await rm(directory, { recursive: true });
});

async function end(nodeId: string): Promise<void> {
  await metadata.transaction((tx) => tx.nodes.beat(nodeId, 'gone'));
}

async function owners(): Promise<readonly string[]> {
  return (await metadata.nodes.listPools()).map(({ poolName, nodeId }) => `${poolName} ${nodeId}`);
}

function request(nodeId: string, ...names: readonly string[]) {
  return { nodeId, pools: names.map((poolName) => ({ poolName, domain: poolName })) };
}

function statuses(isActive: boolean) {
  const room = { totalBytes: 1, freeBytes: 1 };
  return {
    statusOf: () =>
      isActive ? { isActive: true as const, room } : { isActive: false as const, reason: 'No mark.' },
  };
}

test('a pool goes to the first node that has it, and stays its own', async () => {
  await takePools(metadata, request('a', 'fast', 'big'));
  await takePools(metadata, request('b', 'other'));
  await takePools(metadata, request('a', 'fast', 'big'));
  expect(await owners()).toEqual(['big a', 'fast a', 'other b']);
  expect(await takeOverPools(metadata, request('a', 'fast', 'big'), statuses(false))).toEqual([]);
});

test('a pool of a node that is there is refused to another, which gets none then', async () => {
  await takePools(metadata, request('a', 'fast'));
  const taking = takePools(metadata, request('b', 'new', 'fast'));
  await expect(taking).rejects.toThrow(
    /Pool fast belongs to node a on vm-a \(a:8600\), which is up\. .*names/,
  );
  expect(await owners()).toEqual(['fast a']);
});

test('a pool of a node that is gone is taken over with its disk, and not without', async () => {
  await takePools(metadata, request('a', 'fast'));
  await end('a');
  await takePools(metadata, request('b', 'fast'));
  const without = takeOverPools(metadata, request('b', 'fast'), statuses(false));
  await expect(without).rejects.toThrow(/is gone, and cannot be taken over from it\. No mark\./);
  expect(await owners()).toEqual(['fast a']);
  const taken = await takeOverPools(metadata, request('b', 'fast'), statuses(true));
  expect(taken).toMatchObject([{ poolName: 'fast', nodeId: 'a' }]);
  expect(await owners()).toEqual(['fast b']);
});

test('a pool whose node came back while it was opened elsewhere is not taken over', async () => {
  await takePools(metadata, request('a', 'fast'));
  await end('a');
  await takePools(metadata, request('b', 'fast'));
  await metadata.transaction((tx) => tx.nodes.beat('a', 'up'));
  await expect(takeOverPools(metadata, request('b', 'fast'), statuses(true))).rejects.toThrow('which is up');
});

test('a pool that is configured no more is let go once it has no drives', async () => {
  await takePools(metadata, request('a', 'fast', 'empty'));
  await insertDrive(metadata, { poolName: 'fast', state: 'destroying' });
  await takePools(metadata, request('a', 'new'));
  expect(await owners()).toEqual(['fast a', 'new a']);
});
