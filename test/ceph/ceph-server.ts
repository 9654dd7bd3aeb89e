import { randomUUID } from 'node:crypto';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, vi } from 'vitest';
import type { Info } from '../helpers/drive-client.ts';
import { scratchDirectory, startServer } from '../helpers/server-process.ts';
import type { ServerProcess } from '../helpers/server-process.ts';
import { createRbdPlace } from './scratch-rbd.ts';

/** A server that keeps drives of tier `ssd` in a Ceph pool of its own, and those of tier `disk` in a directory. */
export interface CephServer extends AsyncDisposable {
  readonly scratch: string;
  readonly cephPool: string;
  /** The Ceph user of the server. */
  readonly user: string;
  /** The server that runs at present. */
  get server(): ServerProcess;
  /** Stops it, expects it to end well or by the signal, and starts another one. */
  restart(signal?: 'SIGTERM' | 'SIGKILL'): Promise<void>;
  stop(signal?: 'SIGTERM' | 'SIGKILL'): Promise<void>;
  start(): Promise<void>;
  /** The URI of a new claim of a drive, by TCP. */
  claim(drive: string): Promise<string>;
  untilStatus(drive: string, status: 'active' | 'inactive'): Promise<void>;
}

export async function startCephServer(cephPool: string): Promise<CephServer> {
  const scratch = await scratchDirectory();
  const { user, keyring, confFile } = await createRbdPlace(cephPool);
  const files = join(scratch, 'files');
  await mkdir(files);
  const pools = [
    { name: 'ceph', tier: 'ssd', rbd: { pool: cephPool, user, keyring, conf: confFile } },
    { name: 'files', tier: 'disk', directory: files },
  ];
  const options = {
    dataDirectory: join(scratch, 'data'),
    config: JSON.stringify({ pools }),
    args: ['--nbd-listen', '127.0.0.1:0'],
  };
  let server = await startServer(options);
  // It serves without waiting for a cluster that is slow to answer.
  const allActive = async (): Promise<void> => {
    const pools = (await server.json('/admin/pools/info')) as Info[];
    expect(pools.filter(({ status }) => status !== 'active')).toEqual([]);
  };
  await vi.waitFor(allActive, { timeout: 60_000, interval: 100 });
  const stop: CephServer['stop'] = async (signal = 'SIGTERM') => {
    expect(await server.stop(signal)).toBe(signal === 'SIGTERM' ? 0 : null);
  };
  const start = async (): Promise<void> => {
    server = await startServer(options);
  };
  return {
    scratch,
    cephPool,
    user,
    get server() {
      return server;
    },
    stop,
    start,
    async restart(signal) {
      await stop(signal);
      await start();
    },
    async claim(drive) {
      const body = `server ${randomUUID()}\ntakeover true`;
      return String(((await server.json(`/drives/${drive}/claim`, body)) as Info)['attach:tcp']);
    },
    async untilStatus(drive, status) {
      const seen = async (): Promise<unknown> => (await server.info(drive))['status'];
      await expect.poll(seen, { timeout: 60_000, interval: 100 }).toBe(status);
    },
    async [Symbol.asyncDispose]() {
      await server.stop();
      await rm(scratch, { recursive: true, force: true });
    },
  };
}
