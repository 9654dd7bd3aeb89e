import { parentPort, workerData } from 'node:worker_threads';
import { createFilePool } from '../blockdev/file/file-pool.ts';
import { openVolume } from '../blockdev/luks-volume.ts';
import type { StoragePool } from '../blockdev/storage-pool.ts';
import { createXtsEngine } from '../crypto/xts.ts';
import { createImagingOperations } from './imaging-operations.ts';
import type { VolumeOpener } from './imaging-operations.ts';
import type { FromImagingThread, ImagingThreadSetup, ToImagingThread } from './imaging-protocol.ts';
import { describeFailure, reviveFailure } from './thread-failure.ts';
import type { ThreadFailure } from './thread-failure.ts';

// An imaging thread: works for one job at a time, one call after another, waiting for disks and ciphers itself.

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
  const pools = new Map<string, StoragePool>(
    specs.map((spec) => [spec.name, createFilePool({ directory: spec.directory })]),
  );
  function poolOf(poolName: string): StoragePool {
    const pool = pools.get(poolName);
    if (pool === undefined) throw new Error(`Pool ${poolName} is not configured.`);
    return pool;
  }
  return {
    open: async (spec, access) => await openVolume(poolOf(spec.poolName), spec, { engine, access }),
    clone: async (source, target) =>
      await poolOf(source.poolName).clone({
        sourceDriveId: source.driveId,
        targetDriveId: target.driveId,
      }),
  };
}
