import { parentPort, workerData } from 'node:worker_threads';
import { openVolume } from '../blockdev/luks-volume.ts';
import { openPool } from '../blockdev/open-pool.ts';
import type { StoragePool } from '../blockdev/storage-pool.ts';
import type { VolumeSpec } from '../data-workers/volume.ts';
import { createXtsEngine } from '../crypto/xts.ts';
import { keepCompiledSoFar } from '../runtime/compile-cache.ts';
import { imagedDrive } from './drive-bytes.ts';
import { createImagingOperations } from './imaging-operations.ts';
import type { VolumeOpener } from './imaging-operations.ts';
import type { FromImagingThread, ImagingThreadSetup, ToImagingThread } from './imaging-protocol.ts';
import { describeFailure, reviveFailure } from './thread-failure.ts';
import type { ThreadFailure } from './thread-failure.ts';

// An imaging thread: works for one job at a time, one call after another, waiting for disks and ciphers itself.

keepCompiledSoFar();
const port = parentPort;
if (port === null) throw new Error('This file runs in a worker thread.');

const setup = workerData as ImagingThreadSetup;
let answerAdmission: ((failure: ThreadFailure | null) => void) | null = null;

const perform = createImagingOperations({
  opener: createOpener(setup),
  memory: setup.memory,
  buffers: setup.buffers,
  compressJobs: setup.compressJobs,
  admit: async (lengthBytes) => {
    const failure = await new Promise<ThreadFailure | null>((resolve) => {
      answerAdmission = resolve;
      send({ admitBytes: lengthBytes });
    });
    if (failure !== null) throw reviveFailure(failure);
  },
});

let working: Promise<void> = Promise.resolve();

port.on('message', (message: ToImagingThread) => {
  if ('admitted' in message) {
    answerAdmission?.(message.admitted);
    return;
  }
  working = working.then(async () => {
    try {
      send({ callId: message.callId, result: (await perform(message.request)) ?? null });
    } catch (error) {
      send({ callId: message.callId, failure: describeFailure(error) });
    }
  });
});

function send(message: FromImagingThread): void {
  port?.postMessage(message);
}

function createOpener({ pools: specs, memory, scratch }: ImagingThreadSetup): VolumeOpener {
  const engine = createXtsEngine({ memory, scratch });
  const pools = new Map<string, StoragePool>(specs.map((spec) => [spec.name, openPool(spec).pool]));
  function poolOf(poolName: string): StoragePool {
    const pool = pools.get(poolName);
    if (pool === undefined) throw new Error(`Pool ${poolName} is not configured.`);
    return pool;
  }
  return {
    open: async (spec, access) =>
      imagedDrive(await openVolume(poolOf(spec.poolName), spec, { engine, access }), spec),
    async clone(source, target) {
      const pool = poolOf(source.poolName);
      // What is behind the drive's end must not be shared.
      if (!(await hasDriveSize(pool, source))) return 'an interrupted resize has left the source larger';
      const { volumeName, sizeBytes } = target;
      return await pool.clone({ source: source.volumeName, target: volumeName, sizeBytes });
    },
  };
}

/** Whether the volume of a drive that is not encrypted is as large as the drive. */
async function hasDriveSize(pool: StoragePool, { volumeName, sizeBytes }: VolumeSpec): Promise<boolean> {
  const volume = await pool.open(volumeName, 'read-only');
  const isSame = volume.sizeBytes === sizeBytes;
  await volume.close();
  return isSame;
}
