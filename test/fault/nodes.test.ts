import { mkdir, rename, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { DriveClient } from '../helpers/drive-client.ts';
import { startNodeCluster } from '../helpers/node-cluster.ts';
import type { NodeCluster } from '../helpers/node-cluster.ts';
import { startRefused, startServer } from '../helpers/server-process.ts';
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

test('a drive is known to every node, and its bytes are with the node that has its pool', async () => {
  const drive = await a.create('name of-a\nsize 1M');
  expect((await a.write(`${drive}/0`, Buffer.alloc(512, 1))).status).toBe(204);
  const seen = async () => await b.info(drive);
  await expect
    .poll(seen, { timeout: 20_000 })
    .toMatchObject({ name: 'of-a', status: 'active', 'write:bytes': '512' });
  for (const refused of [
    await b.write(`${drive}/0`, Buffer.alloc(512)),
    await b.get(`/drives/${drive}/read/0/512`),
  ]) {
    expect(refused.status).toBe(503);
    expect(refused.text).toMatch(
      new RegExp(`Pool a belongs to node .*127.0.0.1:${a.port}\\): ask that node`),
    );
  }
  expect((await b.json(`/drives/${drive}/set`, 'name renamed')) as unknown).toMatchObject({
    name: 'renamed',
  });
  const pools = (await b.json('/admin/pools/info')) as readonly Record<string, string>[];
  expect(pools.map(({ pool, status }) => `${pool} ${status}`)).toEqual(['b active', 'a active']);
});

test('a node that is configured with the pool of another is refused', async () => {
  const { exitCode, output } = await startRefused(cluster.optionsOf('thief', ['a']));
  expect(exitCode).toBe(1);
  expect(output).toMatch(/Pool a belongs to node .* which is up\. A directory pool belongs to one node/);
});

test('a node needs the master key that the others have, and cannot lock them out with a new one', async () => {
  const { env, dataDirectory, ...rest } = cluster.optionsOf('keyless');
  const options = { ...rest, dataDirectory, env: { ...env, DRIVEBAY_MASTER_KEY: '' } };
  const { exitCode, output } = await startRefused(options);
  expect(exitCode).toBe(1);
  expect(output).toMatch(/The master key .* is missing, and there are drives or other nodes that need it/);
  await mkdir(join(cluster.directory, 'pool-keyless'));
  await writeFile(join(dataDirectory, 'master-key'), `${env['DRIVEBAY_MASTER_KEY']}\n`, { mode: 0o600 });
  await using keyed = await startServer(options);
  const rotation = await keyed.post('/admin/master-key/rotate');
  expect(rotation.status).toBe(400);
  expect(rotation.text).toContain('would lock the other nodes out');
});

test('a node that is killed is the same one when it is back', async () => {
  await a.stop('SIGKILL');
  a = await cluster.start('a');
  expect(await states(b)).toMatchObject({ [a.port]: 'up', [b.port]: 'up' });
  expect((await nodes(b)).filter(({ state }) => state === 'up')).toHaveLength(2);
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

test('the pool of a node that is gone goes to the node that has its disk now', async () => {
  const first = await cluster.start('d');
  const drive = await first.create('size 1M');
  expect((await first.write(`${drive}/0`, Buffer.alloc(512, 7))).status).toBe(204);
  await first.stop();
  const options = cluster.optionsOf('e', ['d']);
  const disk = join(cluster.directory, 'pool-d');
  await rename(disk, `${disk}-away`);
  await mkdir(disk);
  const refused = await startRefused(options);
  expect(refused.output).toMatch(/is gone, and cannot be taken over from it\. .*no drivebay-pool.json/);
  await rename(`${disk}-away`, disk);
  await using second = await startServer(options);
  expect((await second.read(drive, 0, 512)).equals(Buffer.alloc(512, 7))).toBe(true);
});
