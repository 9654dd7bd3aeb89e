import type { BlockDevice, Maybe } from '../../blockdev/block-device.ts';
import type { RateLimit } from '../../data-workers/rate-limit.ts';
import type { SocketCalls } from '../../runtime/socket-calls.ts';
import type { IoBuffers } from './io-buffers.ts';
import type { ReplyForm } from './reply-format.ts';
import type { RequestRules } from './request-check.ts';
import type { RequestMemory } from './request-memory.ts';
import type { Transmission } from './transmission.ts';

/** What the loop of a thread does for a connection; the socket is watched for one thing or the other. */
export interface TransmissionLoop {
  readonly calls: SocketCalls;
  modify(descriptor: number, interest: number): void;
  setDeadline(task: Transmission, atMs: number | null): void;
}

export interface TransmissionOptions {
  readonly descriptor: number;
  readonly loop: TransmissionLoop;
  readonly buffers: IoBuffers;
  readonly device: BlockDevice;
  /** What requests of a device that answers with promises are kept in; null for one that answers at once. */
  readonly memory: RequestMemory | null;
  /** Writes data of which nothing is needed afterwards. */
  readonly writeInPlace: (offsetBytes: number, data: Uint8Array) => Maybe<void>;
  readonly rules: RequestRules;
  readonly form: ReplyForm;
  readonly contextId: number | null;
  readonly limit: RateLimit;
  readonly stats: SharedArrayBuffer;
  /** Whether only space that is taken already may be written. */
  readonly isPoolLow: () => boolean;
  /** Makes everything written so far durable, and calls with an error of the protocol, or 0. */
  readonly flush: (done: (error: number) => void) => void;
  readonly onEnd: (reason: EndReason) => void;
}

/** Why a connection ended: the client said so, left, broke the rules, was cut by the server, or is served elsewhere. */
export type EndReason =
  'disconnected' | 'client-left' | 'connection-lost' | 'bad-request' | 'cut' | 'released';
