import { Worker } from 'node:worker_threads';
import { workerUrl } from '../runtime/worker-url.ts';
import type { Arena } from '../data-workers/arena.ts';
import type { PoolSpec } from '../blockdev/pool-spec.ts';
import { THREAD_BUFFER_BYTES } from './imaging-operations.ts';
import type {
  FromImagingThread,
  ImagingOperation,
  ImagingOperations,
  ImagingRequest,
  ImagingThreadSetup,
  ToImagingThread,
} from './imaging-protocol.ts';
import { describeFailure, reviveFailure } from './thread-failure.ts';

/** Answers a thread that asks whether the target's pool has room; rejects when it has not. */
export type Admission = (lengthBytes: number) => Promise<void>;

/** The main thread's end of one imaging thread, which works for one job at a time. */
export interface ImagingThreadClient {
  /** False once the thread has ended; then every call rejects. */
  readonly isAlive: boolean;
  call<Name extends ImagingOperation>(
    op: Name,
    request: ImagingOperations[Name]['request'],
  ): Promise<ImagingOperations[Name]['result']>;
  /** Who answers for the pool of the present job. */
  admitWith(admission: Admission): void;
  stop(): Promise<void>;
}

interface PendingCall {
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: Error) => void;
}

export interface ImagingThreadOptions {
  readonly arena: Arena;
  readonly pools: readonly PoolSpec[];
  /** Memory that the cipher needs. */
  readonly scratchBytes: number;
  /** Blocks that are compressed side by side. */
  readonly compressJobs: number;
}

/** Starts a thread; its regions of the arena are given back when it ends. */
export function startImagingThread(options: ImagingThreadOptions): ImagingThreadClient {
  const { arena, pools, compressJobs } = options;
  const scratch = arena.reserve(options.scratchBytes);
  const buffers = arena.reserve(THREAD_BUFFER_BYTES);
  const setup: ImagingThreadSetup = { memory: arena.memory, scratch, buffers, pools, compressJobs };
  const worker = new Worker(workerUrl('./imaging-thread.ts', import.meta.url), { workerData: setup });
  return createClient(worker, () => {
    arena.unreserve(scratch);
    arena.unreserve(buffers);
  });
}

function createClient(worker: Worker, onEnd: () => void): ImagingThreadClient {
  const pending = new Map<number, PendingCall>();
  let lastCallId = 0;
  let ended: Error | null = null;
  let admission: Admission = () => Promise.reject(new Error('No job asks for room.'));

  function end(error: Error): void {
    ended ??= error;
    for (const call of pending.values()) call.reject(ended);
    pending.clear();
  }

  function send(message: ToImagingThread): void {
    worker.postMessage(message);
  }

  worker.on('message', (message: FromImagingThread) => {
    if ('admitBytes' in message) {
      admission(message.admitBytes).then(
        () => send({ admitted: null }),
        (error: unknown) => send({ admitted: describeFailure(error) }),
      );
      return;
    }
    const call = pending.get(message.callId);
    pending.delete(message.callId);
    if ('failure' in message) call?.reject(reviveFailure(message.failure));
    else call?.resolve(message.result);
  });
  worker.on('error', (error) => end(error instanceof Error ? error : new Error(String(error))));
  worker.on('exit', () => {
    end(new Error('The imaging thread has ended.'));
    onEnd();
  });

  return {
    get isAlive() {
      return ended === null;
    },
    async call(op, request) {
      if (ended !== null) throw ended;
      lastCallId += 1;
      const callId = lastCallId;
      const result = await new Promise<unknown>((resolve, reject) => {
        pending.set(callId, { resolve, reject });
        send({ callId, request: { op, ...request } as ImagingRequest });
      });
      return result as ImagingOperations[typeof op]['result'];
    },
    admitWith(next) {
      admission = next;
    },
    async stop() {
      end(new Error('The imaging thread was stopped.'));
      await worker.terminate();
    },
  };
}
