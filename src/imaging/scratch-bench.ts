import { randomBytes } from 'node:crypto';
import { expect, onTestFinished, vi } from 'vitest';
import { MIB, SECTOR_BYTES } from '../core/sizes.ts';
import { createArena } from '../data-workers/arena.ts';
import type { PoolStatus } from '../data-workers/volume.ts';
import { createImagingOperations, THREAD_BUFFER_BYTES } from './imaging-operations.ts';
import type { ImagingOperation, ImagingOperations, ImagingRequest } from './imaging-protocol.ts';
import { createImagingRunner, IMAGING_LIMITS } from './imaging-runner.ts';
import type {
  ImagingLimits,
  ImagingRunner,
  ImagingRunnerOptions,
  UnsharedImaging,
} from './imaging-runner.ts';
import type { Admission, ImagingThreadClient } from './imaging-thread-client.ts';
import { createScratchDrive } from './scratch-drive.ts';
import type { ScratchDrive } from './scratch-drive.ts';
import { createScratchQueue } from './scratch-queue.ts';
import type { ScratchQueue } from './scratch-queue.ts';

// For tests: a runner with all that it needs in memory.

export const ROOM = { isActive: true, room: { totalBytes: 0, freeBytes: 0 } } as const;
export const QUICK_LIMITS: ImagingLimits = {
  ...IMAGING_LIMITS,
  progressMs: 5,
  checkpointMs: 5,
  pollMs: 20,
  idleMs: 1,
  stopMs: 500,
};

/** A runner over drives in memory, whose threads are this one. */
export interface Bench {
  readonly queue: ScratchQueue;
  readonly drives: Map<string, ScratchDrive>;
  readonly statuses: Map<string, PoolStatus>;
  readonly failures: unknown[];
  /** Whether the drives have keys, so that none shares the blocks of another. */
  isEncrypted: boolean;
  /** What a thread does to make a volume of another one's blocks. */
  onClone: (volumeName: string) => Promise<string | null>;
  /** Those that could not be shared, and why. */
  readonly unshared: UnsharedImaging[];
  /** Pools in which volumes may have been left. */
  readonly left: string[];
  /** Called before each operation of a thread. */
  onOperation: (request: ImagingRequest) => Promise<void> | void;
  add(driveId: string, sizeBytes: number, poolName?: string, isRemote?: boolean): ScratchDrive;
  runner(changes?: Partial<ImagingRunnerOptions>): ImagingRunner;
}

/** Makes one whose runners are stopped when the test is over. */
export function createBench(): Bench {
  const queue = createScratchQueue();
  const drives = new Map<string, ScratchDrive>();
  const arena = createArena(64 * MIB);
  const failures: unknown[] = [];
  const statuses = new Map<string, PoolStatus>();
  const bench: Bench = {
    queue,
    drives,
    statuses,
    failures,
    isEncrypted: true,
    onClone: () => Promise.resolve('memory is not shared'),
    unshared: [],
    left: [],
    onOperation: () => {},
    add(driveId, sizeBytes, poolName = 'default', isRemote = false) {
      const drive = createScratchDrive(driveId, sizeBytes, { pageBytes: 65_536, isRemote });
      drives.set(driveId, drive);
      queue.addDrive(driveId, sizeBytes, poolName);
      return drive;
    },
    runner(changes = {}) {
      const runner = createImagingRunner({
        metadata: queue,
        specOf: ({ volumeName, poolName, sizeBytes }) => {
          const volumeKey = bench.isEncrypted ? new Uint8Array(64).map((_, index) => index) : null;
          return Promise.resolve({
            volumeName,
            poolName,
            sizeBytes,
            volumeKey,
            lock: new SharedArrayBuffer(8),
          });
        },
        pools: {
          statusOf: (poolName) => statuses.get(poolName) ?? ROOM,
          admit: () => Promise.resolve(() => {}),
          refresh: () => Promise.resolve(),
        },
        startThread: () => startInThisThread(bench, arena),
        beforeStart: () => Promise.resolve(),
        nodeId: 'node',
        otherPools: () => [],
        now: () => Date.now(),
        randomBytes: (lengthBytes) => randomBytes(lengthBytes),
        onLeft: (poolName) => void bench.left.push(poolName),
        reportUnshared: (imaging) => void bench.unshared.push(imaging),
        reportFailure: (error) => failures.push(error),
        limits: QUICK_LIMITS,
        ...changes,
      });
      onTestFinished(() => runner.stop());
      return runner;
    },
  };
  return bench;
}

function startInThisThread(bench: Bench, arena: ReturnType<typeof createArena>): ImagingThreadClient {
  let admission: Admission = () => Promise.resolve();
  const buffers = arena.reserve(THREAD_BUFFER_BYTES);
  const perform = createImagingOperations({
    opener: {
      open: async ({ volumeName }) => {
        const drive = bench.drives.get(volumeName);
        if (drive === undefined) throw Object.assign(new Error('There is none.'), { code: 'ENOENT' });
        return drive;
      },
      clone: (_source, { volumeName }) => bench.onClone(volumeName),
    },
    memory: arena.memory,
    buffers,
    compressJobs: 2,
    admit: (lengthBytes) => admission(lengthBytes),
  });
  let last: Promise<unknown> = Promise.resolve();
  return {
    isAlive: true,
    async call<Name extends ImagingOperation>(op: Name, request: ImagingOperations[Name]['request']) {
      const result = last.then(async () => {
        const whole = { op, ...request } as ImagingRequest;
        await bench.onOperation(whole);
        return await perform(whole);
      });
      last = result.catch(() => {});
      return (await result) as ImagingOperations[Name]['result'];
    },
    admitWith: (next) => {
      admission = next;
    },
    stop: () => Promise.resolve(arena.unreserve(buffers)),
  };
}

/** Fills the beginning of a drive, whole MiB, with sectors that differ. */
export async function fillNoise(drive: ScratchDrive, lengthBytes: number): Promise<void> {
  // The system takes longer to hand out as much memory as a drive has than to fill it.
  const piece = Buffer.alloc(MIB);
  for (let offsetBytes = 0; offsetBytes < lengthBytes; offsetBytes += MIB) {
    for (let at = 0; at < MIB; at += SECTOR_BYTES) piece.writeUInt32LE(offsetBytes + at + 1, at);
    await drive.device.write(offsetBytes, piece);
  }
}

/** Fills a drive with something that no other drive holds. */
export async function fillUsed(drive: ScratchDrive, lengthBytes = drive.sizeBytes): Promise<void> {
  const piece = Buffer.alloc(MIB, 'used before');
  for (let offsetBytes = 0; offsetBytes < lengthBytes; offsetBytes += MIB)
    await drive.device.write(offsetBytes, piece);
}

export async function untilEmpty(queue: ScratchQueue): Promise<void> {
  await vi.waitFor(() => expect(queue.jobs).toEqual([]), { timeout: 10_000, interval: 5 });
}

/** A promise and what resolves it. */
export function createGate(): { open: () => void; opened: Promise<void> } {
  const { promise, resolve } = Promise.withResolvers<void>();
  return { open: resolve, opened: promise };
}
