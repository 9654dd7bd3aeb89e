import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, expect, test } from 'vitest';
import type { BlockDevice } from '../blockdev/block-device.ts';
import { createFilePool } from '../blockdev/file/file-pool.ts';
import { DRIVE_LOCK_BYTES } from '../blockdev/layers/drive-lock.ts';
import { createVolume, openVolume } from '../blockdev/luks-volume.ts';
import { DriveError } from '../core/errors.ts';
import { MIB } from '../core/sizes.ts';
import { createXtsEngine } from '../crypto/xts.ts';
import { createArena } from '../data-workers/arena.ts';
import type { VolumeSpec } from '../data-workers/volume.ts';
import { ImagingStopped } from './engine-hooks.ts';
import { startImagingThread } from './imaging-thread-client.ts';
import type { ImagingThreadClient } from './imaging-thread-client.ts';
import { createImagingThreads } from './imaging-threads.ts';
import { createJobControl } from './job-control.ts';

const SCRATCH_BYTES = 576 * 1024;
const directory = mkdtempSync(join(tmpdir(), 'imaging-thread-'));
const arena = createArena(64 * MIB);
const engine = createXtsEngine({ memory: arena.memory, scratch: arena.reserve(SCRATCH_BYTES) });
const pool = createFilePool({ directory });
const threads: ImagingThreadClient[] = [];

afterEach(async () => {
  await Promise.all(threads.splice(0).map((thread) => thread.stop()));
});
afterAll(() => rmSync(directory, { recursive: true }));

function startThread(): ImagingThreadClient {
  const pools = [{ kind: 'file', name: 'default', directory }] as const;
  const thread = startImagingThread({ arena, pools, scratchBytes: SCRATCH_BYTES, compressJobs: 2 });
  threads.push(thread);
  return thread;
}

async function makeDrive(number: number, sizeBytes: number, isEncrypted = true): Promise<VolumeSpec> {
  const volumeName = `00000000-0000-4000-8000-${String(number).padStart(12, '0')}`;
  const volumeKey = isEncrypted
    ? Buffer.from(Array.from({ length: 64 }, (_, at) => at * (2 * number + 1)))
    : null;
  const encryption = volumeKey === null ? null : { volumeKey, passphrase: 'abcdefghijklmnopqrstuvwxyz' };
  await createVolume(pool, { volumeName, sizeBytes, encryption });
  return {
    volumeName,
    poolName: 'default',
    sizeBytes,
    volumeKey,
    lock: new SharedArrayBuffer(DRIVE_LOCK_BYTES),
  };
}

async function withDevice<Result>(
  spec: VolumeSpec,
  work: (device: BlockDevice) => Promise<Result>,
): Promise<Result> {
  const device = await openVolume(pool, spec, { engine, access: 'read-write' });
  try {
    return await work(device);
  } finally {
    await device.close();
  }
}

async function write(spec: VolumeSpec, offsetBytes: number, bytes: Uint8Array): Promise<void> {
  await withDevice(spec, async (device) => await device.write(offsetBytes, bytes));
}

async function contentOf(spec: VolumeSpec): Promise<Buffer> {
  return await withDevice(spec, async (device) => {
    const bytes = Buffer.alloc(spec.sizeBytes);
    await device.read(0, bytes);
    return bytes;
  });
}

function runningControl(): SharedArrayBuffer {
  const control = createJobControl();
  control.extend(60_000, process.hrtime.bigint());
  return control.shared;
}

const TEXT = Buffer.from('A line of text that repeats itself.\n'.repeat(50_000)).subarray(0, MIB);

test('a thread copies between encrypted drives of different keys and leaves the rest zero', async () => {
  const source = await makeDrive(1, 3 * MIB);
  const target = await makeDrive(2, 4 * MIB);
  await write(source, MIB, TEXT);
  await write(target, 3 * MIB, TEXT);
  await write(target, MIB / 2, TEXT);
  const thread = startThread();
  await thread.call('open', { source, target, control: runningControl() });
  const { isEmpty } = await thread.call('empty', { isForCopy: true });
  expect(isEmpty).toBe(false);
  const { tasks } = await thread.call('plan', { fromBytes: 0, isTargetEmpty: isEmpty });
  expect(tasks.map(({ newBytes }) => newBytes)).toEqual([MIB / 2]);
  for (const { stretches } of tasks) await thread.call('copy', { stretches, isTargetEmpty: isEmpty });
  await thread.call('flush', {});
  await thread.call('close', {});
  const expected = Buffer.concat([Buffer.alloc(MIB), TEXT, Buffer.alloc(2 * MIB)]);
  expect((await contentOf(target)).equals(expected)).toBe(true);
});

test('a thread packs and unpacks, asking for room as it goes', async () => {
  const source = await makeDrive(3, MIB);
  const packed = await makeDrive(4, MIB, false);
  const target = await makeDrive(5, MIB);
  await write(source, 0, TEXT);
  const thread = startThread();
  const asked: number[] = [];
  thread.admitWith(async (lengthBytes) => {
    asked.push(lengthBytes);
  });
  for (const [packing, unpacking] of [
    ['gzip', 'gunzip'],
    ['zstd', 'unzstd'],
  ] as const) {
    await thread.call('open', { source, target: packed, control: runningControl() });
    await thread.call('empty', { isForCopy: false });
    await thread.call('convert', { conversion: packing });
    await thread.call('open', { source: packed, target, control: runningControl() });
    await thread.call('empty', { isForCopy: false });
    await thread.call('convert', { conversion: unpacking });
    await thread.call('close', {});
    expect((await contentOf(target)).equals(TEXT)).toBe(true);
  }
  expect(asked).toHaveLength(4);
});

test('a refusal of room ends a conversion with its sentence', async () => {
  const source = await makeDrive(6, MIB);
  const target = await makeDrive(7, MIB);
  await write(source, 0, TEXT);
  const thread = startThread();
  thread.admitWith(() => Promise.reject(new DriveError('full', 'Pool default has no room left.')));
  await thread.call('open', { source, target, control: runningControl() });
  const converting = thread.call('convert', { conversion: 'gzip' });
  await expect(converting).rejects.toMatchObject({ code: 'full', message: 'Pool default has no room left.' });
});

test('errors keep what they are on their way out of the thread', async () => {
  const source = await makeDrive(8, MIB);
  const target = await makeDrive(9, MIB);
  await write(source, 0, TEXT);
  const thread = startThread();
  await pool.remove(target.volumeName);
  await expect(thread.call('open', { source, target, control: runningControl() })).rejects.toMatchObject({
    code: 'ENOENT',
  });
  const stopped = createJobControl();
  stopped.stop();
  await thread.call('open', { source, target: await makeDrive(9, MIB), control: stopped.shared });
  const stretches = [{ offsetBytes: 0, lengthBytes: MIB }];
  await expect(thread.call('copy', { stretches, isTargetEmpty: true })).rejects.toBeInstanceOf(
    ImagingStopped,
  );
});

test('a thread that was stopped answers no call, and its memory serves the next one', async () => {
  const small = createArena(10 * MIB);
  const start = (): ImagingThreadClient =>
    startImagingThread({ arena: small, pools: [], scratchBytes: SCRATCH_BYTES, compressJobs: 2 });
  for (let round = 0; round < 3; round += 1) {
    const thread = start();
    await thread.stop();
    await expect(thread.call('flush', {})).rejects.toThrow('stopped');
  }
});

test('an idle thread serves the next job, and ends when there is none', async () => {
  const started: string[] = [];
  const stops: string[] = [];
  const { promise: stopped, resolve } = Promise.withResolvers<void>();
  const lender = createImagingThreads({
    idleMs: 20,
    start: () => {
      const name = `thread ${started.length}`;
      started.push(name);
      return {
        isAlive: true,
        call: () => Promise.reject(new Error('Not called here.')),
        admitWith: () => {},
        stop: async () => {
          stops.push(name);
          resolve();
        },
      };
    },
  });
  lender.giveBack(lender.take());
  const again = lender.take();
  expect(started).toEqual(['thread 0']);
  lender.giveBack(again);
  await stopped;
  expect(stops).toEqual(['thread 0']);
  lender.take();
  expect(started).toEqual(['thread 0', 'thread 1']);
});

test('a volume that an interrupted resize has left larger than its drive is not shared', async () => {
  const source = await makeDrive(21, 2 * MIB, false);
  const target = await makeDrive(22, MIB, false);
  // The drive is 1 MiB for the metadata; its file is still 2 MiB.
  const cutShort = { ...source, sizeBytes: MIB };
  expect(await startThread().call('clone', { source: cutShort, target })).toMatch(/interrupted resize/);
});
