import type { Range } from '../blockdev/block-device.ts';
import type { Conversion } from '../core/imaging.ts';
import type { Segment } from '../data-workers/arena.ts';
import type { PoolSpec } from '../blockdev/pool-spec.ts';
import type { VolumeSpec } from '../data-workers/volume.ts';
import type { CopyTask } from './plain-copy.ts';
import type { ThreadFailure } from './thread-failure.ts';

/** What an imaging thread is started with. */
export interface ImagingThreadSetup {
  readonly memory: WebAssembly.Memory;
  /** Region of the memory for the cipher. */
  readonly scratch: Segment;
  /** Region of the memory for pieces, of `THREAD_BUFFER_BYTES`. */
  readonly buffers: Segment;
  readonly pools: readonly PoolSpec[];
  /** Blocks that are compressed side by side. */
  readonly compressJobs: number;
}

/** Each operation of an imaging thread: what it takes and what it answers. */
export interface ImagingOperations {
  /** Makes the target by sharing the source's blocks, or says why the pool cannot. No volume needs to be open. */
  clone: { request: { source: VolumeSpec; target: VolumeSpec }; result: string | null };
  /** Opens both volumes for the operations below. */
  open: { request: { source: VolumeSpec; target: VolumeSpec; control: SharedArrayBuffer }; result: null };
  /**
   * Makes the target read as zeros, durably. For a plain copy it may leave what the target holds where the source has data;
   * `isEmpty` says whether it has left nothing.
   */
  empty: { request: { isForCopy: boolean }; result: { isEmpty: boolean } };
  /** How much of the source may hold data: all of it, and what is below an offset. */
  measure: { request: { belowBytes: number }; result: { totalBytes: number; belowBytes: number } };
  plan: {
    request: { fromBytes: number; isTargetEmpty: boolean };
    result: { tasks: readonly CopyTask[]; nextOffsetBytes: number };
  };
  copy: { request: { stretches: readonly Range[]; isTargetEmpty: boolean }; result: null };
  convert: { request: { conversion: Exclude<Conversion, 'plain'> }; result: null };
  flush: { request: Record<never, never>; result: null };
  close: { request: Record<never, never>; result: null };
}

export type ImagingOperation = keyof ImagingOperations;
export type ImagingRequest = {
  [Name in ImagingOperation]: { readonly op: Name } & ImagingOperations[Name]['request'];
}[ImagingOperation];

/** From the main thread: a call, or the answer to a thread that asked for room. */
export type ToImagingThread =
  { readonly callId: number; readonly request: ImagingRequest } | { readonly admitted: ThreadFailure | null };

/** To the main thread: the answer to a call, or the question whether the target's pool has room. */
export type FromImagingThread =
  | { readonly callId: number; readonly result: unknown }
  | { readonly callId: number; readonly failure: ThreadFailure }
  | { readonly admitBytes: number };
