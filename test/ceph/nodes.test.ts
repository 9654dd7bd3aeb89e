import { execFileSync } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { PostgresOptions } from '../../src/metadata/postgres/postgres-options.ts';
import { databaseUrl, startScratchPostgres } from '../../src/metadata/postgres/scratch-postgres.ts';
import type { ScratchPostgres } from '../../src/metadata/postgres/scratch-postgres.ts';
import { startScratchProxy } from '../../src/metadata/postgres/scratch-proxy.ts';
import type { ScratchProxy } from '../../src/metadata/postgres/scratch-proxy.ts';
import { connectNbd } from '../helpers/nbd-client.ts';
import { noise } from '../helpers/sample-bytes.ts';
import { scratchDirectory, startServer } from '../helpers/server-process.ts';
import type { ServerProcess } from '../helpers/server-process.ts';
import { claimDrive, takeOverDrive } from './ceph-nodes.ts';
import { createRbdPlace, testCluster } from './scratch-rbd.ts';

// Two nodes over one PostgreSQL and one Ceph cluster: either can serve every drive.

const MIB = 1024 * 1024;
const BLOCK = Buffer.alloc(4096, 1);

let scratch: string;
let postgres: ScratchPostgres;
let database: PostgresOptions;
let proxy: ScratchProxy;
let a: ServerProcess;
let b: ServerProcess;

beforeAll(async () => {
  scratch = await scratchDirectory();
  postgres = await startScratchPostgres();
  database = await postgres.createDatabase();
  // The first node can lose its database while the other keeps it.
  proxy = await startScratchProxy(database);
  const { user, keyring, confFile } = await createRbdPlace('nodes');
  const pools = [{ name: 'ceph', rbd: { pool: 'nodes', user, keyring, conf: confFile } }];
  const start = async (name: string, port: number): Promise<ServerProcess> =>
    await startServer({
      dataDirectory: join(scratch, name),
      config: JSON.stringify({ pools }),
      args: ['--nbd-listen', '127.0.0.1:0', '--imaging-threads', '1'],
      env: { DRIVEBAY_METADATA: databaseUrl({ ...database, port }), DRIVEBAY_MASTER_KEY: '5'.repeat(64) },
    });
  a = await start('a', proxy.port);
  b = await start('b', database.port);
});

afterAll(async () => {
  await a.stop('SIGKILL');
  await b[Symbol.asyncDispose]();
  await proxy[Symbol.asyncDispose]();
  await postgres[Symbol.asyncDispose]();
  await rm(scratch, { recursive: true });
});

test('what one node has written the other reads, and a takeover through one cuts at the other', async () => {
  const drive = await a.create('size 8M');
  expect((await a.write(`${drive}/7`, noise('first', MIB))).status).toBe(204);
  expect((await b.read(drive, 7, MIB)).equals(noise('first', MIB))).toBe(true);
  let [holder, next] = [a, b];
  using first = await connectNbd(await claimDrive(holder, drive));
  let client = first;
  for (let round = 0; round < 4; round += 1) {
    await client.write(4096 * round, noise(`round ${round}`, 4096));
    const uri = await claimDrive(next, drive, 'takeover true');
    await expect(client.write(0, BLOCK)).rejects.toBeInstanceOf(Error);
    client = await connectNbd(uri);
    expect((await client.read(4096 * round, 4096)).equals(noise(`round ${round}`, 4096))).toBe(true);
    [holder, next] = [next, holder];
  }
  client[Symbol.dispose]();
});

test('resizes through both nodes at once leave a drive of one size, which both can read to its end', async () => {
  const drive = await a.create('size 1M');
  for (let round = 0; round < 6; round += 1) {
    const [first, second] = [randomInt(1, 8 * MIB), randomInt(1, 8 * MIB)];
    const set = (node: ServerProcess, size: number) => node.post(`/drives/${drive}/set`, `size ${size}`);
    const answers = await Promise.all([set(a, first), set(b, second)]);
    expect(answers.map(({ status }) => status)).toEqual([200, 200]);
    const size = Number((await a.info(drive))['size']);
    expect([first, second]).toContain(size);
    for (const node of [a, b]) expect((await node.read(drive, 0, size)).length).toBe(size);
  }
});

test('what a shrink through one node has not cut off yet is zeros after a growth through another', async () => {
  const drive = await a.create('size 3M');
  expect((await b.read(drive, 0, 1)).length).toBe(1);
  await a.json(`/drives/${drive}/set`, 'size 5M');
  expect((await a.write(`${drive}/3M`, noise('cut', MIB))).status).toBe(204);
  // As if the node had been killed in the middle.
  const shrink = `update drives set size_bytes = ${3 * MIB} where drive_id = '${drive}'`;
  await postgres.query(shrink, database.database);
  await b.json(`/drives/${drive}/set`, 'size 4M');
  expect((await b.read(drive, 3 * MIB, MIB)).equals(Buffer.alloc(MIB))).toBe(true);
});

test('a drive that another node has open leaves nothing in Ceph when it is destroyed', async () => {
  const drive = await a.create('size 8M');
  expect((await b.write(drive, noise('open', MIB))).status).toBe(204);
  expect((await a.post(`/drives/${drive}/destroy`)).status).toBe(204);
  expect(await testCluster().rbd('ls', 'nodes')).not.toContain(drive);
  expect(await testCluster().rbd('trash', 'ls', 'nodes')).toBe('');
});

test('a node that is stopped in the middle of writes changes nothing once its drive was taken over, and comes back', async () => {
  const drive = await a.create('size 64M\nencryption:cipher none');
  using old = await connectNbd(await claimDrive(a, drive));
  const lanes = Array.from({ length: 16 }, async (_, lane) => {
    for (let at = lane; ; at = (at + 16) % 64) await old.write(at * MIB, Buffer.alloc(MIB, 1));
  });
  const flood = Promise.allSettled(lanes);
  await expect.poll(async () => (await b.read(drive, 5 * MIB, 1))[0]).toBe(1);
  process.kill(a.pid, 'SIGSTOP');
  try {
    using taken = await connectNbd(await takeOverDrive(b, drive));
    for (let at = 0; at < 64; at += 1) await taken.write(at * MIB, Buffer.alloc(MIB, 2));
  } finally {
    process.kill(a.pid, 'SIGCONT');
  }
  for (const { status } of await flood) expect(status).toBe('rejected');
  await expect.poll(async () => (await a.get(`/drives/${drive}/read/0/1`)).status).toBe(200);
  expect((await b.read(drive, 0, 64 * MIB)).equals(Buffer.alloc(64 * MIB, 2))).toBe(true);
});

test('a node that loses the database lets go of drives, and another takes them and its imaging over', async () => {
  const drive = await a.create('size 1M');
  const [source, target] = [await a.create('size 96M'), await a.create('size 128M')];
  const piece = noise('piece', 4 * MIB);
  for (let at = 0; at < 96; at += 4) expect((await a.write(`${source}/${at}M`, piece)).status).toBe(204);
  using old = await connectNbd(await claimDrive(a, drive));
  await old.write(0, BLOCK);
  expect((await a.post(`/drives/${target}/image/${source}/gzip`)).status).toBe(204);
  const leased = () => postgres.query('select lease_owner from imaging_jobs', database.database);
  await expect
    .poll(leased, { timeout: 20_000, interval: 20 })
    .toMatchObject([{ lease_owner: expect.any(String) }]);
  const [job] = await leased();

  proxy.mode = 'freeze';
  const writes = (async () => {
    for (;;) await old.write(0, BLOCK);
  })().catch((error: unknown) => error);
  const taken = await connectNbd(await takeOverDrive(b, drive));
  await taken.write(0, Buffer.alloc(4096, 2));
  expect(await writes).toBeInstanceOf(Error);
  await a.stop('SIGKILL');
  expect((await taken.read(0, 4096)).equals(Buffer.alloc(4096, 2))).toBe(true);
  taken[Symbol.dispose]();

  // The imaging was not done when its node was lost; nobody else has touched it yet.
  expect(await leased()).toEqual([job]);
  const imaging = async () => (await b.info(target))['imaging'] ?? 'done';
  await expect.poll(imaging, { timeout: 90_000, interval: 200 }).toBe('done');
  expect(await b.info(target)).not.toHaveProperty('imaging:error');
  const packed = await b.read(target, 0, 128 * MIB);
  const unpacked = execFileSync('bash', ['-c', 'gzip -dcq || [ $? = 2 ]'], {
    input: packed.subarray(0, packed.findLastIndex((byte) => byte !== 0) + 9),
    maxBuffer: 256 * MIB,
  });
  expect(unpacked.equals(Buffer.concat(Array.from({ length: 24 }, () => piece)))).toBe(true);
});
