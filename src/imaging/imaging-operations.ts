import { PIECE_BYTES, viewOf } from '../data-workers/arena.ts';
import type { Segment } from '../data-workers/arena.ts';
import type { VolumeSpec } from '../data-workers/volume.ts';
import { compress, COMPRESS_BLOCK_BYTES } from './compress.ts';
import { decompress } from './decompress.ts';
import { createDataMap } from './data-map.ts';
import type { DataMap } from './data-map.ts';
import type { ImagedDrive } from './drive-bytes.ts';
import { emptyAroundData, emptyTarget } from './empty-target.ts';
import type { EngineHooks } from './engine-hooks.ts';
import type { ImagingRequest } from './imaging-protocol.ts';
import { createJobControl } from './job-control.ts';
import { copyStretches, planTasks } from './plain-copy.ts';

/** Blocks that one thread may have in compression at most. */
export const MAX_COMPRESS_JOBS = 6;
/** Memory that a thread needs for its pieces: one to write, and what is being compressed or read ahead. */
export const THREAD_BUFFER_BYTES = PIECE_BYTES + MAX_COMPRESS_JOBS * COMPRESS_BLOCK_BYTES;

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
  readonly source: DataMap;
  readonly target: DataMap;
  /** Whether a copy writes over what the target holds. Else it was emptied first, and zeros are there where none is written. */
  readonly isWrittenOver: boolean;
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
    await closing?.source.drive.device.close();
    await closing?.target.drive.device.close();
  }

  async function open(source: VolumeSpec, target: VolumeSpec, shared: SharedArrayBuffer): Promise<void> {
    await close();
    const control = createJobControl(shared);
    const sourceDrive = await opener.open(source, 'read-only');
    try {
      const targetDrive = await opener.open(target, 'read-write');
      job = {
        source: createDataMap(sourceDrive),
        target: createDataMap(targetDrive),
        isWrittenOver: mayWriteOver(target, targetDrive),
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
      return { isEmpty: await empty(job, request.isForCopy) };
    case 'measure':
      return await measure(source, request.belowBytes);
    case 'plan':
      return await planTasks({ source, target: wasEmptied(job, request) ? null : target }, request.fromBytes);
    case 'copy': {
      const buffer = viewOf(options.memory, options.buffers, { offsetBytes: 0, lengthBytes: PIECE_BYTES });
      const drives = { source: source.drive, target: target.drive };
      const isEmptied = wasEmptied(job, request);
      return await copyStretches({ ...drives, isEmptied, stretches: request.stretches }, buffer, hooks);
    }
    case 'convert':
      return await convert(options, job, request.conversion);
    case 'flush':
      return await target.drive.device.flush();
  }
}

function wasEmptied(
  { isWrittenOver }: OpenJob,
  { isTargetEmpty }: { readonly isTargetEmpty: boolean },
): boolean {
  return isTargetEmpty || !isWrittenOver;
}

async function empty(
  { source, target, isWrittenOver, hooks }: OpenJob,
  isForCopy: boolean,
): Promise<boolean> {
  if (isForCopy && isWrittenOver) return await emptyAroundData({ source, target }, hooks);
  await emptyTarget(target.drive, hooks);
  return true;
}

/**
 * A drive that is not encrypted may share its blocks with others: to write over those takes as much room as to write anew. Over a
 * network emptying is one request for many blocks, and each part that is left would be requests of its own.
 */
function mayWriteOver({ volumeKey }: VolumeSpec, { device }: ImagedDrive): boolean {
  return volumeKey !== null && device.isRemote !== true;
}

async function measure(
  source: DataMap,
  belowBytes: number,
): Promise<{ totalBytes: number; belowBytes: number }> {
  const measured = { totalBytes: 0, belowBytes: 0 };
  const whole = { offsetBytes: 0, lengthBytes: source.drive.sizeBytes };
  for await (const { offsetBytes, lengthBytes } of source.stretches(whole)) {
    measured.totalBytes += lengthBytes;
    measured.belowBytes += Math.max(0, Math.min(lengthBytes, belowBytes - offsetBytes));
  }
  return measured;
}

async function convert(
  options: ImagingOperationsOptions,
  { source: { drive: source }, target: { drive: target }, hooks }: OpenJob,
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
