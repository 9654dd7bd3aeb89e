import { Worker } from 'node:worker_threads';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { createDriveLock, DRIVE_LOCK_BYTES } from './drive-lock.ts';
import { createFilePool } from '../file/file-pool.ts';
import { openVolume } from '../luks-volume.ts';
import { createVolume } from '../luks-volume.ts';
import { SCRATCH_DRIVE, scratchEngine } from '../scratch-devices.ts';

/** Ways to wait that let the thread go on. */
const WAITING = { 'event-loop': 'event-loop', 'in pauses': async () => await setTimeout(1) } as const;

const newMemory = (): SharedArrayBuffer => new SharedArrayBuffer(DRIVE_LOCK_BYTES);

/** A promise that is settled by hand, for work that goes on while it is looked at. */
function gate(): { opened: Promise<void>; open: () => void } {
  const { promise, resolve } = Promise.withResolvers<void>();
  return { opened: promise, open: resolve };
}

test.each(Object.entries(WAITING))(
  '%s: many share the lock, and who wants it alone waits for all of them',
  async (_name, waiting) => {
    const lock = createDriveLock(newMemory(), waiting);
    const order: string[] = [];
    const [first, second] = [gate(), gate()];
    const shared = [first, second].map((held, index) =>
      Promise.resolve(
        lock.shared(async () => {
          await held.opened;
          order.push(`shared ${index}`);
        }),
      ),
    );
    const alone = Promise.resolve(
      lock.exclusive(() => {
        order.push('alone');
      }),
    );
    second.open();
    await shared[1];
    first.open();
    await Promise.all([...shared, alone]);
    expect(order).toEqual(['shared 1', 'shared 0', 'alone']);
  },
);

test.each(Object.entries(WAITING))(
  '%s: nobody begins to share while one waits to have the lock alone',
  async (_name, waiting) => {
    const lock = createDriveLock(newMemory(), waiting);
    const order: string[] = [];
    const held = gate();
    const first = lock.shared(() => held.opened);
    const alone = lock.exclusive(() => {
      order.push('alone');
    });
    const late = lock.shared(() => {
      order.push('shared late');
    });
    held.open();
    await Promise.all([first, alone, late]);
    expect(order).toEqual(['alone', 'shared late']);
  },
);

test('the lock is free again after work that failed', async () => {
  const lock = createDriveLock(newMemory(), 'event-loop');
  const fail = (): never => {
    throw new Error('no');
  };
  expect(() => lock.exclusive(fail)).toThrow('no');
  expect(() => lock.shared(fail)).toThrow('no');
  await expect(async () => await lock.exclusive(() => Promise.reject(new Error('later')))).rejects.toThrow(
    'later',
  );
  expect(lock.exclusive(() => 'free')).toBe('free');
});

test('threads that write neighbours in one sector never lose bytes', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'drivebay-lock-'));
  try {
    const pool = createFilePool({ directory });
    const sizeBytes = 4 * 512;
    const volumeKey = new Uint8Array(64).map((_, index) => index);
    const encryption = { volumeKey, passphrase: 'p'.repeat(43) };
    await createVolume(pool, { volumeName: SCRATCH_DRIVE, sizeBytes, encryption });
    const spec = { volumeName: SCRATCH_DRIVE, sizeBytes, volumeKey, lock: newMemory() };
    const writers = 4;
    const rounds = 400;
    await Promise.all(
      Array.from({ length: writers }, (_, writer) => runWriter({ directory, spec, writer, writers, rounds })),
    );
    const volume = await openVolume(pool, spec, { engine: scratchEngine(), access: 'read-only' });
    const bytes = new Uint8Array(sizeBytes);
    await volume.read(0, bytes);
    await volume.close();
    // Every writer wrote its own bytes in each round, and the last round's value must have stayed in all of them.
    expect(new Set(bytes)).toEqual(new Set([rounds % 256]));
  } finally {
    rmSync(directory, { recursive: true });
  }
});

/** Runs a thread that writes every byte whose number belongs to it, one by one, again and again. */
async function runWriter(workerData: {
  directory: string;
  spec: { volumeName: string; sizeBytes: number; volumeKey: Uint8Array; lock: SharedArrayBuffer };
  writer: number;
  writers: number;
  rounds: number;
}): Promise<void> {
  const worker = new Worker(new URL('scratch-writer-thread.ts', import.meta.url), { workerData });
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  worker.on('error', reject);
  worker.on('exit', (code) =>
    code === 0 ? resolve() : reject(new Error(`The writer exited with ${code}.`)),
  );
  await promise;
}
