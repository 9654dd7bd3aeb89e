import { randomUUID } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { seededRandom } from '../fault/seeded-random.ts';
import { connectNbd } from '../helpers/nbd-client.ts';
import { adminInfo, poolsOf, startWithPools } from '../helpers/pool-server.ts';
import { scratchDirectory } from '../helpers/server-process.ts';
import type { ServerProcess } from '../helpers/server-process.ts';
import { createRbdPlace, testCluster } from './scratch-rbd.ts';

const MIB = 2 ** 20;
const CEPH_POOL = 'moves';
const SEED = Number(process.env['DRIVEBAY_SEED'] ?? Math.floor(Math.random() * 2 ** 32));
const MOVED_TIMEOUT = { timeout: 60_000, interval: 100 };
let base: string;
let server: ServerProcess;

beforeAll(async () => {
  base = await scratchDirectory();
  const { user, keyring, confFile } = await createRbdPlace(CEPH_POOL);
  const rbd = { pool: CEPH_POOL, user, keyring, conf: confFile };
  server = await startWithPools(base, [{ name: 'files' }, { name: 'ceph', rbd }]);
});

afterAll(async () => {
  await server[Symbol.asyncDispose]();
  await rm(base, { recursive: true });
});

test.each(['aes-xts-plain', 'none'])(
  `a drive moves into Ceph and back under a server that writes to it (cipher %s, seed ${SEED})`,
  async (cipher) => {
    const random = seededRandom(SEED);
    const sizeBytes = 24 * MIB + 512;
    const drive = await server.create(`size ${sizeBytes}\nencryption:cipher ${cipher}`);
    const claim = await server.json(`/drives/${drive}/claim`, `server ${randomUUID()}`);
    using client = await connectNbd((claim as Record<string, string>)['attach:tcp'] ?? '');
    const expected = Buffer.alloc(sizeBytes);
    const write = async (): Promise<void> => {
      const at = random.below(sizeBytes - 70_000);
      const data = random.bytes(random.pick([100, 4096, 70_000]));
      await client.write(at, data);
      data.copy(expected, at);
    };
    for (let count = 0; count < 20; count += 1) await write();
    for (const pool of ['files', 'ceph', 'files']) {
      expect((await server.post(`/admin/drives/${drive}/move`, `pool ${pool}`)).status).toBe(200);
      await expect
        .poll(async () => {
          await write();
          const info = await adminInfo(server, drive);
          return [info['pool'], info['moving:error']];
        }, MOVED_TIMEOUT)
        .toEqual([pool, undefined]);
      await write();
      const isInCeph = async (): Promise<boolean> =>
        (await testCluster().rbd('ls', CEPH_POOL)).includes(drive);
      await expect.poll(isInCeph, MOVED_TIMEOUT).toBe(pool === 'ceph');
      await expect.poll(() => poolsOf(base, drive), MOVED_TIMEOUT).toEqual(pool === 'ceph' ? [] : ['files']);
      expect((await server.read(drive, 0, sizeBytes)).equals(expected)).toBe(true);
    }
  },
);
