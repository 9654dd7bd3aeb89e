import { hostname } from 'node:os';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { DriveClient } from '../helpers/drive-client.ts';
import { startNodeCluster } from '../helpers/node-cluster.ts';
import type { NodeCluster } from '../helpers/node-cluster.ts';
import type { ServerProcess } from '../helpers/server-process.ts';

let cluster: NodeCluster;
let a: ServerProcess;
let b: ServerProcess;

beforeAll(async () => {
  cluster = await startNodeCluster();
  a = await cluster.start('a');
  b = await cluster.start('b');
});

afterAll(() => cluster[Symbol.asyncDispose]());

async function nodes(client: DriveClient): Promise<readonly Record<string, string>[]> {
  return (await client.json('/admin/nodes')) as readonly Record<string, string>[];
}

/** The states by the ports of the nodes, as one of them sees them. */
async function states(client: DriveClient): Promise<Record<string, string>> {
  const entries = (await nodes(client)).map(({ address, state }) => [address?.split(':')[1], state]);
  return Object.fromEntries(entries) as Record<string, string>;
}

test('every node lists all of them', async () => {
  const listed = await nodes(b);
  expect(listed).toEqual(await nodes(b));
  expect(listed).toHaveLength(2);
  for (const node of listed) expect(node).toMatchObject({ host: hostname(), state: 'up' });
  expect(await states(a)).toEqual({ [a.port]: 'up', [b.port]: 'up' });
});

test('a node that is killed is gone for the others after a time, and up when it is back', async () => {
  await a.stop('SIGKILL');
  const seen = async () => (await states(b))[a.port];
  expect(await seen()).toBe('up');
  await expect.poll(seen, { timeout: 40_000, interval: 200 }).toBe('gone');
  a = await cluster.start('a');
  expect(await states(b)).toEqual({ [a.port]: 'up', [b.port]: 'up' });
});

test('a node that is stopped says so at once, and that it is not ready', async () => {
  const stopping = await cluster.start('c', ['--drain-seconds', '6']);
  const ended = stopping.stop();
  await expect.poll(async () => (await stopping.get('/readyz')).status).toBe(503);
  expect((await stopping.get('/readyz')).text).toContain('being stopped');
  expect((await states(b))[stopping.port]).toBe('draining');
  expect((await stopping.get('/drives/list')).status).toBe(200);
  expect(await ended).toBe(0);
  expect((await states(b))[stopping.port]).toBe('gone');
});
