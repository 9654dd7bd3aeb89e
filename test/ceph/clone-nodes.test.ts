import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { databaseUrl, startScratchPostgres } from '../../src/metadata/postgres/scratch-postgres.ts';
import type { ScratchPostgres } from '../../src/metadata/postgres/scratch-postgres.ts';
import { runImaging } from '../e2e/imaging-run.ts';
import { noise } from '../helpers/sample-bytes.ts';
import { scratchDirectory, startServer } from '../helpers/server-process.ts';
import type { ServerProcess } from '../helpers/server-process.ts';
import { createRbdPlace, testCluster } from './scratch-rbd.ts';

// Two nodes over one pool in Ceph, and drives that one of them images by sharing blocks.

const CEPH_POOL = 'clone-nodes';
const MIB = 2 ** 20;
let scratch: string;
let postgres: ScratchPostgres;
let a: ServerProcess;
let b: ServerProcess;

beforeAll(async () => {
  scratch = await scratchDirectory();
  postgres = await startScratchPostgres();
  const url = databaseUrl(await postgres.createDatabase());
  const { user, keyring, confFile } = await createRbdPlace(CEPH_POOL);
  const pools = [{ name: 'ceph', rbd: { pool: CEPH_POOL, user, keyring, conf: confFile } }];
  const start = async (name: string): Promise<ServerProcess> =>
    await startServer({
      dataDirectory: join(scratch, name),
      config: JSON.stringify({ pools }),
      args: ['--imaging-threads', '1'],
      env: { DRIVEBAY_METADATA: url, DRIVEBAY_MASTER_KEY: '5'.repeat(64) },
    });
  a = await start('a');
  b = await start('b');
});

afterAll(async () => {
  for (const node of [a, b]) await node[Symbol.asyncDispose]();
  await postgres[Symbol.asyncDispose]();
  await rm(scratch, { recursive: true });
});

test('no node uses what a drive was before it was imaged, and Ceph does not keep it for any of them', async () => {
  const pairs = 'size 8M\nencryption:cipher none';
  const [source, target] = [await a.create(pairs), await a.create(pairs)];
  for (let round = 0; round < 4; round += 1) {
    const [content, change] = [noise(`content ${round}`, 4 * MIB), noise(`change ${round}`, MIB)];
    expect((await b.write(`${source}/1M`, content)).status).toBe(204);
    // Now each node has both of them open as they are.
    for (const node of [a, b]) for (const drive of [source, target]) await node.read(drive, 0, 1);
    const at = round % 2 === 0 ? a : b;
    expect(await runImaging(at, { source, target })).not.toHaveProperty('imaging:error');
    for (const node of [a, b]) expect((await node.read(target, MIB, 4 * MIB)).equals(content)).toBe(true);
    expect((await b.write(`${target}/2M`, change)).status).toBe(204);
    expect((await a.write(`${source}/3M`, change)).status).toBe(204);
    for (const node of [a, b]) {
      expect((await node.read(target, 2 * MIB, MIB)).equals(change)).toBe(true);
      expect((await node.read(target, 3 * MIB, 2 * MIB)).equals(content.subarray(2 * MIB))).toBe(true);
      expect((await node.read(source, 2 * MIB, MIB)).equals(content.subarray(MIB, 2 * MIB))).toBe(true);
    }
  }
  const images = async (): Promise<number> =>
    (await testCluster().rbd('ls', CEPH_POOL)).split('\n').filter((name) => name !== '').length;
  const trash = async (): Promise<string> => await testCluster().rbd('trash', 'ls', CEPH_POOL);
  await expect.poll(async () => [await images(), await trash()], { timeout: 60_000 }).toEqual([2, '']);
  for (const drive of [source, target]) {
    await b.read(drive, 0, 1);
    expect((await a.post(`/drives/${drive}/destroy`)).status).toBe(204);
  }
  await expect.poll(async () => [await images(), await trash()], { timeout: 60_000 }).toEqual([0, '']);
});
