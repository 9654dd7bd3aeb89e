import { MIB } from '../core/sizes.ts';
import { PIECE_BYTES, viewOf } from '../data-workers/arena.ts';
import type { Segment } from '../data-workers/arena.ts';
import type { VolumeSpec } from '../data-workers/volume.ts';
import { compress, COMPRESS_BLOCK_BYTES } from './compress.ts';
import { decompress } from './decompress.ts';
import { countData } from './drive-bytes.ts';
import type { ImagedDrive } from './drive-bytes.ts';
import type { EngineHooks } from './engine-hooks.ts';
import type { ImagingRequest } from './imaging-protocol.ts';
import { createJobControl } from './job-control.ts';
import { copyRange, planTasks } from './plain-copy.ts';

/** Blocks that one thread may have in compression at most. */
export const MAX_COMPRESS_JOBS = 6;
/** Memory that a thread needs for its pieces: one to write, and what is being compressed or read ahead. */
export const THREAD_BUFFER_BYTES = PIECE_BYTES + MAX_COMPRESS_JOBS * COMPRESS_BLOCK_BYTES;
/** The target is emptied in steps, so that a job can be stopped meanwhile where that means writing. */
const EMPTY_STEP_BYTES = 64 * 1024 * MIB;

/** How a thread gets at volumes. */
export interface VolumeOpener {
  open(spec: VolumeSpec, access: 'read-only' | 'read-write'): Promise<ImagedDrive>;
  /** See `StoragePool.clone`; both are in one pool. */
  clone(source: VolumeSpec, target: VolumeSpec): Promise<string | null>;
}

export interface ImagingOperationsOptions {
  readonly opener: VolumeOpener;
  readonly memory: WebAssembly.Memory;
  readonly buffers: Segment;
  readonly compressJobs: number;
  readonly admit: (lengthBytes: number) => Promise<void>;
}

/** The volumes of the job that a thread works for at present. */
interface OpenJob {
  readonly source: ImagedDrive;
  readonly target: ImagedDrive;
  readonly hooks: EngineHooks;
}

/** Makes the function that does every operation of an imaging thread. */
export function createImagingOperations(
  options: ImagingOperationsOptions,
): (request: ImagingRequest) => Promise<unknown> {
  const { opener } = options;
  let job: OpenJob | null = null;

  async function close(): Promise<void> {
    const closing = job;
    job = null;
    await closing?.source.device.close();
    await closing?.target.device.close();
  }

  async function open(source: VolumeSpec, target: VolumeSpec, shared: SharedArrayBuffer): Promise<void> {
    await close();
    const control = createJobControl(shared);
    const sourceDrive = await opener.open(source, 'read-only');
    try {
      const targetDrive = await opener.open(target, 'read-write');
      job = {
        source: sourceDrive,
        target: targetDrive,
        hooks: { addDone: control.addDone, checkRunning: control.checkRunning, admit: options.admit },
      };
    } catch (error) {
      await sourceDrive.device.close();
      throw error;
    }
  }

  return async (request) => {
    switch (request.op) {
      case 'clone':
        return await opener.clone(request.source, request.target);
      case 'open':
        return await open(request.source, request.target, request.control);
      case 'close':
        return await close();
      default:
        if (job === null) throw new Error(`Nothing is open in this thread to ${request.op}.`);
        return await perform(options, job, request);
    }
  };
}

type JobRequest = Exclude<ImagingRequest, { op: 'clone' | 'open' | 'close' }>;

async function perform(
  options: ImagingOperationsOptions,
  job: OpenJob,
  request: JobRequest,
): Promise<unknown> {
  const { source, target, hooks } = job;
  switch (request.op) {
    case 'empty':
      return await empty(target, hooks);
    case 'measure':
      return await measure(source, request.belowBytes);
    case 'plan':
      return await planTasks(source, request.fromBytes);
    case 'copy': {
      const buffer = viewOf(options.memory, options.buffers, { offsetBytes: 0, lengthBytes: PIECE_BYTES });
      return await copyRange({ source, target, range: request.range, buffer }, hooks);
    }
    case 'convert':
      return await convert(options, job, request.conversion);
    case 'flush':
      return await target.device.flush();
  }
}

async function empty({ device }: ImagedDrive, hooks: EngineHooks): Promise<void> {
  for (let offsetBytes = 0; offsetBytes < device.sizeBytes; offsetBytes += EMPTY_STEP_BYTES) {
    hooks.checkRunning();
    await device.zero({
      offsetBytes,
      lengthBytes: Math.min(EMPTY_STEP_BYTES, device.sizeBytes - offsetBytes),
    });
  }
  await device.flush();
}

async function measure(
  source: ImagedDrive,
  belowBytes: number,
): Promise<{ totalBytes: number; belowBytes: number }> {
  const below = await countData(source, { offsetBytes: 0, lengthBytes: belowBytes });
  const rest = { offsetBytes: belowBytes, lengthBytes: source.sizeBytes - belowBytes };
  return { totalBytes: below + (await countData(source, rest)), belowBytes: below };
}

async function convert(
  options: ImagingOperationsOptions,
  { source, target, hooks }: OpenJob,
  conversion: 'gzip' | 'gunzip' | 'zstd' | 'unzstd',
): Promise<void> {
  const { memory, buffers, compressJobs } = options;
  const piece = viewOf(memory, buffers, { offsetBytes: 0, lengthBytes: PIECE_BYTES });
  if (conversion === 'gunzip' || conversion === 'unzstd') {
    const inputAt = (index: number): Buffer =>
      viewOf(memory, buffers, { offsetBytes: PIECE_BYTES * (1 + index), lengthBytes: PIECE_BYTES });
    const inputs = [inputAt(0), inputAt(1)] as const;
    await decompress({ source, target, unpacking: conversion, buffer: piece, inputs }, hooks);
    return;
  }
  const slots = Array.from({ length: Math.min(MAX_COMPRESS_JOBS, compressJobs) }, (_, index) =>
    viewOf(memory, buffers, {
      offsetBytes: PIECE_BYTES + index * COMPRESS_BLOCK_BYTES,
      lengthBytes: COMPRESS_BLOCK_BYTES,
    }),
  );
  await compress({ source, target, packing: conversion, buffer: piece, slots }, hooks);
}
