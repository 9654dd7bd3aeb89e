import type { Range } from '../blockdev/block-device.ts';
import type { DirectName, DirectPlace } from '../blockdev/direct-access.ts';
import type { PoolRoom } from '../blockdev/storage-pool.ts';
import type { BodyDigest } from '../core/body-digest.ts';
import type { ErrorCode } from '../core/errors.ts';
import type { Segment } from './arena.ts';
import type { PoolSpec } from '../blockdev/pool-spec.ts';
import type { StoredStretches } from './stored-copy.ts';
import type { VolumeSpec } from './volume.ts';

/** What a data thread is started with. */
export interface DataThreadSetup {
  readonly memory: WebAssembly.Memory;
  /** This thread's own region of the memory. */
  readonly scratch: Segment;
  readonly pool: PoolSpec;
  readonly installationId: string;
  /** What NBD connections are served with; null in a thread that serves none. */
  readonly transmission: Segment | null;
  /** A descriptor that the main thread signals after each message. */
  readonly signal: number;
}

/** An NBD connection whose handshake is over. */
export interface ServedConnection {
  readonly connectionId: number;
  /** In which it was let through; see `poolLife`. */
  readonly life: number;
  readonly spec: VolumeSpec;
  readonly descriptor: number;
  readonly isReadOnly: boolean;
  readonly form: 'simple' | 'structured' | 'extended';
  /** The id of `base:allocation`; null when the client has not asked for it. */
  readonly contextId: number | null;
  /** What the client has sent already. */
  readonly leftover: Uint8Array;
  /** The drive's budget, see `RateLimit`; the connection's figures, see `StatsWriter`. */
  readonly limit: SharedArrayBuffer;
  readonly stats: SharedArrayBuffer;
  /** A word that is 1 while the pool is low. */
  readonly poolState: SharedArrayBuffer;
}

/** How a connection has ended for a data thread. */
export interface ServedEnd {
  /** `released`: it was taken back, and goes on elsewhere. */
  readonly reason: string;
  /** What the client has sent that was not looked at, when it was taken back. */
  readonly leftover: Uint8Array;
}

/** What a data thread asks of the main thread: to flush a drive, because many may share that. */
export interface FlushWish {
  readonly connectionId: number;
  readonly flushId: number;
}

/** What became of a range that a data thread sent to a socket. */
export interface SentRange {
  /** What the socket took, the head included. */
  readonly sentBytes: number;
  /** Whether the connection is broken. */
  readonly isBroken: boolean;
  /** Why the drive could not be read any further. */
  readonly failure: DataFailure | null;
}

/** What a data thread received of a body. */
export interface ReceivedPart {
  readonly receivedBytes: number;
  /** How much of the body, from its beginning, is encrypted now. */
  readonly encryptedBytes: number;
}

/** A body that has been received into the arena, to be checked and written as a whole. */
export interface WriteTask {
  readonly offsetBytes: number;
  readonly segments: readonly Segment[];
  readonly encoding: 'identity' | 'gzip';
  /** How much of it, from its beginning, was encrypted while it came. */
  readonly encryptedBytes: number;
  /** Of the body as received; without what has been compared already. */
  readonly digest: BodyDigest;
  /** Whether the pool is too full for anything but what already has its space. */
  readonly isPoolLow: boolean;
}

/** Whether a block of the map reads as zeros, and its hash in hex when asked for. */
export interface MappedBlock extends Range {
  readonly isZero: boolean;
  readonly sha256: string | null;
}

/** Each operation of a data thread: what it takes and what it answers. */
export interface Operations {
  /** Checks the pool's identity mark, making it when this installation has never marked the pool. */
  check: {
    request: { mayMark: boolean };
    /** `isReopened`: what is open in the pool must be opened again. */
    result: { reason: string | null; room: PoolRoom | null; isReopened: boolean };
  };
  /** See `StoragePool.fence`. */
  fence: { request: { nodeId: string }; result: null };
  /** See `DirectAccess`, for this and the next three. */
  offer: { request: DirectName; result: DirectPlace };
  withdraw: { request: DirectName; result: readonly string[] };
  keepOut: {
    request: { addresses: readonly string[]; exceptNodes: readonly string[] };
    result: number;
  };
  reclaim: { request: { volumeName: string }; result: null };
  create: { request: { spec: VolumeSpec; passphrase: string | null }; result: null };
  remove: { request: { volumeName: string; life: number | null }; result: null };
  /** Opens the volume for the operations below, replacing an older opening. */
  open: { request: { spec: VolumeSpec }; result: null };
  close: { request: { volumeName: string }; result: null };
  read: { request: { volumeName: string; offsetBytes: number; into: Segment }; result: null };
  /** Answers the bytes written, after decompression, and whether they are on stable storage already. */
  write: {
    request: { volumeName: string; life: number; task: WriteTask };
    result: { writtenBytes: number; isDurable: boolean };
  };
  /** Sends the head and then the range to a socket, by way of `through`; ends early when the client is slow. */
  send: {
    request: {
      volumeName: string;
      range: Range;
      descriptor: number;
      head: Uint8Array;
      through: Segment;
      /** A word of a `SendTurn`, which is taken before the first byte is sent. */
      turn: Segment;
    };
    result: SentRange;
  };
  /** Receives from a socket into the segments, behind what is there; ends early when the client stops or is slow. */
  receive: {
    request: {
      descriptor: number;
      segments: readonly Segment[];
      /** What is in the segments already. */
      filledBytes: number;
      /** The drive that the body is encrypted for as it comes, and where in it the body is to be; null for no drive. */
      encryption: { volumeName: string; offsetBytes: number } | null;
      /** By which `writeReceived` knows it; null when nothing of the kind is asked for. */
      receiptId: number | null;
    };
    result: ReceivedPart;
  };
  /**
   * As `write`, for what a `receive` receives that this thread was asked for before. Answers null, with nothing written, when
   * that has ended without the whole body.
   */
  writeReceived: {
    request: { receiptId: number; volumeName: string; life: number; task: Omit<WriteTask, 'encryptedBytes'> };
    result: Operations['write']['result'] | null;
  };
  flush: { request: { volumeName: string }; result: null };
  /** Serves an NBD connection until it ends. */
  attach: { request: ServedConnection; result: ServedEnd };
  /** Takes an NBD connection back, once all that it was asked for has been answered: `attach` is answered then. */
  release: { request: { connectionId: number }; result: null };
  /** Ends an NBD connection: when this is answered, not one byte more changes through it. */
  detach: { request: { connectionId: number }; result: null };
  /** Says that a flush that was wished for has been done, or has failed. */
  flushed: { request: { connectionId: number; flushId: number; isDone: boolean }; result: null };
  resize: { request: { volumeName: string; life: number; sizeBytes: number }; result: null };
  map: { request: { volumeName: string; range: Range; withHash: boolean }; result: readonly MappedBlock[] };
  /** Of each body. */
  sha256: { request: { bodies: readonly (readonly Segment[])[] }; result: readonly Uint8Array[] };
  /** Of the segments together; see `gmacOf`. */
  gmac: { request: { segments: readonly Segment[] }; result: Uint8Array };
  /** Answers the bytes written. */
  fillHoles: { request: { volumeName: string; life: number; range: Range }; result: number };
  /** Has every change of the drive marked in a `ChangeMap`, also by what has it open already; null ends that. */
  track: { request: { volumeName: string; changes: SharedArrayBuffer | null }; result: null };
  /** The following copy what is stored; see `stored-copy.ts`. */
  listStretches: { request: { volumeName: string; fromBytes: number }; result: StoredStretches };
  makeStored: {
    request: { volumeName: string; life: number; sizeBytes: number; mayKeep: boolean };
    result: boolean;
  };
  copyOut: { request: { volumeName: string; range: Range; into: Segment }; result: readonly Range[] };
  /** `through` is memory to compare with what is there; null to write without looking. */
  copyIn: {
    request: {
      volumeName: string;
      life: number;
      range: Range;
      from: Segment;
      data: readonly Range[];
      through: Segment | null;
    };
    result: number;
  };
  syncStored: { request: { volumeName: string; life: number }; result: null };
  /** Closes what these have open of the volume. */
  closeStored: { request: { volumeName: string }; result: null };
  /** The volumes in the pool. */
  list: { request: Record<never, never>; result: readonly string[] };
}

export type Operation = keyof Operations;
export type OperationRequest = {
  [Name in Operation]: { readonly op: Name } & Operations[Name]['request'];
}[Operation];

/** Operations during which the thread does others too, because they wait for clients, or for what a client has asked for. */
export const INTERLEAVED: ReadonlySet<Operation> = new Set([
  'send',
  'receive',
  'writeReceived',
  'attach',
  'detach',
]);
/** Those of them that last as long as a client wants. */
export const UNTIMED: ReadonlySet<Operation> = new Set(['send', 'receive', 'attach', 'detach']);

/** From the main thread to a data thread. */
export interface DataCall {
  readonly callId: number;
  readonly request: OperationRequest;
}

/** An error on its way between threads: one of the domain, or of the operating system with its code. */
export interface DataFailure {
  readonly code: ErrorCode | null;
  readonly errno: string | null;
  readonly message: string;
  readonly stack: string | null;
}

/** From a data thread to the main thread. */
export type DataAnswer =
  | { readonly callId: number; readonly result: unknown }
  | { readonly callId: number; readonly failure: DataFailure };
