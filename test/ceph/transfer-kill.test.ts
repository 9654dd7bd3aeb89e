import { randomBytes, randomInt } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { startLoadBalancer } from '../../scripts/cluster/load-balancer.ts';
import { runCommand } from '../helpers/command-run.ts';
import { noise } from '../helpers/sample-bytes.ts';
import { ADMIN_AUTH } from '../helpers/server-process.ts';
import type { ServerProcess } from '../helpers/server-process.ts';
import { startCephNodes } from './ceph-nodes.ts';
import type { CephNodes } from './ceph-nodes.ts';

// What is under way at a node that is killed goes on through the other one.

const MIB = 2 ** 20;
const LONG = { timeout: 240_000 };
const SOON = { timeout: 60_000, interval: 10 };

let cluster: CephNodes;
let nodes: ServerProcess[];

beforeEach(async () => {
  cluster = await startCephNodes(`transfer-${randomInt(2 ** 31)}`);
  nodes = [await cluster.start('a'), await cluster.start('b')];
});

afterEach(() => cluster[Symbol.asyncDispose]());

function node(index: number): ServerProcess {
  const found = nodes[index];
  if (found === undefined) throw new Error('There is no such node.');
  return found;
}

test('an upload through a load balancer outlives the node that it is with', LONG, async () => {
  const directory = join(cluster.scratch, 'balancer');
  await mkdir(directory);
  const port = randomInt(15_000, 32_000);
  const nodePorts = nodes.map((each) => each.port);
  await using _balancer = await startLoadBalancer({ directory, port, nodePorts });
  const bytes = randomBytes(128 * MIB);
  const file = join(cluster.scratch, 'image');
  await writeFile(file, bytes);
  const drive = await node(0).create(`size ${bytes.length}`);
  const env = { DRIVEBAY_URL: `http://127.0.0.1:${port}`, DRIVEBAY_AUTH: ADMIN_AUTH };
  const upload = runCommand(['upload', file, drive, '--gzip', 'never', '--parallel', '2', '--quiet'], {
    env,
  });
  const written = async (): Promise<number> => Number((await node(1).info(drive))['write:bytes']);
  await expect.poll(written, SOON).toBeGreaterThan(8 * MIB);
  await node(0).stop('SIGKILL');
  expect(await written()).toBeLessThan(bytes.length);
  expect(await upload).toMatchObject({ exitCode: 0, stderr: '' });
  expect((await node(1).read(drive, 0, bytes.length)).equals(bytes)).toBe(true);
});

test('a copy whose node is killed goes on at the other, from where it was', LONG, async () => {
  const { postgres } = cluster;
  const [source, target] = [await node(0).create('size 192M'), await node(0).create('size 192M')];
  const piece = (at: number): Buffer => noise(`piece ${at}`, 4 * MIB);
  const pieces = Array.from({ length: 48 }, (_, at) => at);
  for (const at of pieces) {
    expect((await node(at % 2).write(`${source}/${at * 4}M`, piece(at))).status).toBe(204);
  }
  expect((await node(0).post(`/drives/${target}/image/${source}`)).status).toBe(204);
  const jobs = () => postgres.query('select lease_owner, checkpoint_bytes from imaging_jobs', 'drivebay1');
  await expect.poll(jobs, SOON).toMatchObject([{ checkpoint_bytes: expect.any(String) }]);
  const [job] = await jobs();
  const ids = await Promise.all(nodes.map((each) => readFile(join(each.dataDirectory, 'node-id'), 'utf8')));
  const owner = ids.findIndex((id) => id.trim() === job?.['lease_owner']);
  await node(owner).stop('SIGKILL');
  const other = node(1 - owner);
  expect(await jobs()).toHaveLength(1);
  const imaging = async () => (await other.info(target))['imaging'] ?? 'done';
  await expect.poll(imaging, { timeout: 90_000, interval: 200 }).toBe('done');
  expect(await other.info(target)).not.toHaveProperty('imaging:error');
  for (const at of pieces) {
    expect((await other.read(target, at * 4 * MIB, 4 * MIB)).equals(piece(at))).toBe(true);
  }
});
