import { existsSync, globSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { startServer } from './server-process.ts';
import type { ServerProcess } from './server-process.ts';

const MOVED_TIMEOUT = { timeout: 60_000, interval: 50 };

/** A pool of a test: its name, which is also its directory's unless it lies in Ceph, and other keys of the configuration. */
export interface TestPool {
  readonly name: string;
  readonly rbd?: object;
  readonly [key: string]: unknown;
}

/** A server, or the same again, over pools whose directories lie side by side in `base`; NBD is on. */
export async function startWithPools(base: string, pools: readonly TestPool[]): Promise<ServerProcess> {
  const entries = pools.map((pool) => {
    if (pool.rbd !== undefined) return pool;
    mkdirSync(join(base, pool.name), { recursive: true });
    return { directory: join(base, pool.name), ...pool };
  });
  return await startServer({
    dataDirectory: join(base, 'data'),
    config: JSON.stringify({ pools: entries }),
    args: ['--nbd-listen', '127.0.0.1:0'],
    // Compiled code that is kept halves the time that the next start takes.
    env: { NODE_COMPILE_CACHE: join(base, 'compiled') },
  });
}

/** The pools that hold a volume of the drive. */
export function poolsOf(base: string, drive: string): readonly string[] {
  return globSync(`*/drives/*/${drive}.img`, { cwd: base })
    .map((file) => file.split('/')[0] ?? '')
    .toSorted();
}

export function volumeFile(base: string, pool: string, drive: string): string {
  return join(base, pool, 'drives', drive.slice(0, 2), `${drive}.img`);
}

/** What administrators are told of a drive. */
export async function adminInfo(server: ServerProcess, drive: string): Promise<Record<string, string>> {
  return (await server.json(`/admin/drives/${drive}/info`)) as Record<string, string>;
}

/** Waits until the drive lies in this pool and nothing of it elsewhere. */
export async function untilMoved(
  server: ServerProcess,
  base: string,
  drive: string,
  pool: string,
): Promise<void> {
  await expect
    .poll(async () => {
      const { pool: at, ...info } = await adminInfo(server, drive);
      return { at, error: info['moving:error'], volumes: poolsOf(base, drive) };
    }, MOVED_TIMEOUT)
    .toEqual({ at: pool, error: undefined, volumes: [pool] });
  expect(existsSync(volumeFile(base, pool, drive))).toBe(true);
}
