import { appendFile, copyFile, mkdtemp, rm } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, expect, onTestFinished, test } from 'vitest';
import { RbdConnection } from '../../src/blockdev/rbd/rbd-connection.ts';
import { createRbdPlace, rbdPoolSpec } from './scratch-rbd.ts';

let place: Awaited<ReturnType<typeof createRbdPlace>>;

beforeAll(async () => {
  place = await createRbdPlace('connections');
});

/** What options are set to in a connection with this configuration file. */
function optionsOf(confFile: string | null, options: readonly string[]): readonly string[] {
  const connection = new RbdConnection(rbdPoolSpec({ ...place, confFile }));
  const handles = connection.connect();
  if (typeof handles === 'string') throw new Error(handles);
  try {
    return options.map((option) => connection.rados.configured(handles.cluster, option));
  } finally {
    connection.rados.shutDown(handles.cluster);
  }
}

test('Ceph works with no more threads than half the processors, and reads much at a time', () => {
  const half = Math.max(1, Math.floor(availableParallelism() / 2));
  const options = ['ms_async_op_threads', 'librados_thread_count', 'ms_tcp_prefetch_max_size'];
  expect(optionsOf(place.confFile, options)).toEqual([
    String(Math.min(3, half)),
    String(Math.min(2, half)),
    '65536',
  ]);
});

test('what the configuration file says of speed counts, but not what it says of caches', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'drivebay-conf-'));
  onTestFinished(async () => await rm(directory, { recursive: true }));
  const confFile = join(directory, 'ceph.conf');
  await copyFile(place.confFile ?? '', confFile);
  await appendFile(confFile, '[client]\nms_async_op_threads = 7\nrbd_cache = true\n');
  expect(optionsOf(confFile, ['ms_async_op_threads', 'rbd_cache'])).toEqual(['7', 'false']);
});
