import { Worker } from 'node:worker_threads';
import { loadSocketCalls } from '../runtime/socket-calls.ts';
import type { SocketCalls } from '../runtime/socket-calls.ts';
import { workerUrl } from '../runtime/worker-url.ts';
import { reviveFailure } from './data-failure.ts';
import { UNTIMED } from './protocol.ts';
import type {
  DataAnswer,
  DataThreadSetup,
  FlushWish,
  Operation,
  OperationRequest,
  Operations,
  ServedConnection,
  ServedEnd,
} from './protocol.ts';
import type { VolumeSpec } from './volume.ts';

/** The main thread's end of one data thread. */
export interface DataThreadClient {
  /** How many calls it has not answered yet. */
  readonly pendingCalls: number;
  /** When the oldest unanswered call was made; null when there is none. */
  readonly waitingSinceMs: number | null;
  call<Name extends Operation>(
    op: Name,
    request: Operations[Name]['request'],
  ): Promise<Operations[Name]['result']>;
  /** Has that thread serve an NBD connection until it ends or is released; `flush` makes its drive durable. */
  attach(connection: ServedConnection, flush: () => Promise<void>): Promise<ServedEnd>;
  /** Opens the volume in that thread unless it is open there as specified; nothing to wait for when it is. */
  ensureOpen(spec: VolumeSpec): Promise<void> | undefined;
  /** The same for what does not depend on the drive's size, which may be another by now. */
  ensureOpenAnySize(spec: VolumeSpec): Promise<void> | undefined;
  /** Whether the volume is open there as specified. */
  isOpen(spec: VolumeSpec): boolean;
  /** Closes the volume in that thread if it is open there. */
  closeVolume(volumeName: string): Promise<void>;
  /** Closes those of the volumes that are open there. */
  closeVolumes(which: (volumeName: string) => boolean): Promise<void>;
  stop(): Promise<void>;
}

/** Volumes that one thread keeps open at most; the one opened first is closed for the next. */
const MAX_OPEN_VOLUMES = 256;

interface Opening {
  readonly sizeBytes: number;
  /** Undefined once it is open. */
  ready: Promise<void> | undefined;
}

interface PendingCall {
  /** Null for what lasts as long as a client wants. */
  readonly startedAtMs: number | null;
  readonly resolve: (result: never) => void;
  readonly reject: (error: Error) => void;
}

/**
 * Starts a data thread. A thread that ends by itself is a mistake in Drivebay that may have left a lock taken, so
 * `onCrash` is expected to end the process: what was acknowledged is on disk.
 */
export function startDataThread(
  options: Omit<DataThreadSetup, 'signal'>,
  { now, onCrash }: { now: () => number; onCrash: (error: Error) => void },
): DataThreadClient {
  const sockets = loadSocketCalls();
  const setup: DataThreadSetup = { ...options, signal: sockets.newSignal() };
  const pending = new Map<number, PendingCall>();
  const openings = new VolumeOpenings((op, request) => client.call(op, request));
  const flushes = new Map<number, () => Promise<void>>();
  let lastCallId = 0;
  let isStopping = false;
  const worker = startWorker(setup, {
    onCrash: (error) => !isStopping && onCrash(error),
    onMessage(message) {
      if ('callId' in message) settle(pending, message);
      else void grantFlush(message, flushes.get(message.connectionId), client);
    },
  });

  const client: DataThreadClient = {
    get pendingCalls() {
      return pending.size;
    },
    get waitingSinceMs() {
      for (const call of pending.values()) if (call.startedAtMs !== null) return call.startedAtMs;
      return null;
    },
    call(op, request) {
      lastCallId += 1;
      const callId = lastCallId;
      return new Promise((resolve, reject) => {
        pending.set(callId, { startedAtMs: UNTIMED.has(op) ? null : now(), resolve, reject });
        worker.postMessage({ callId, request: { op, ...request } as OperationRequest });
        sockets.signal(setup.signal);
      });
    },
    async attach(connection, flush) {
      flushes.set(connection.connectionId, flush);
      return await client.call('attach', connection).finally(() => flushes.delete(connection.connectionId));
    },
    ensureOpen: (spec) => openings.ensureOpen(spec),
    ensureOpenAnySize: (spec) => openings.ensureOpenAnySize(spec),
    isOpen: (spec) => openings.isOpen(spec),
    closeVolume: (volumeName) => openings.close(volumeName),
    closeVolumes: (which) => openings.closeEach(which),
    async stop() {
      isStopping = true;
      await stopWorker(worker, sockets, setup.signal);
    },
  };
  return client;
}

function startWorker(
  setup: DataThreadSetup,
  {
    onCrash,
    onMessage,
  }: { onCrash: (error: Error) => void; onMessage: (message: DataAnswer | FlushWish) => void },
): Worker {
  const worker = new Worker(workerUrl('./data-thread.ts', import.meta.url), { workerData: setup });
  worker.on('message', onMessage);
  worker.on('error', onCrash);
  worker.on('exit', (exitCode) =>
    onCrash(new Error(`A data thread of pool ${setup.pool.name} ended with code ${exitCode}.`)),
  );
  return worker;
}

async function stopWorker(worker: Worker, sockets: SocketCalls, signal: number): Promise<void> {
  const ended = worker.terminate();
  // It is seen only between two calls of the system.
  sockets.signal(signal);
  await ended;
  sockets.close(signal);
}

/** Which volumes are open in a thread, as its main thread's end knows it. */
class VolumeOpenings {
  readonly #call: DataThreadClient['call'];
  readonly #openings = new Map<string, Opening>();

  constructor(call: DataThreadClient['call']) {
    this.#call = call;
  }

  ensureOpen(spec: VolumeSpec): Promise<void> | undefined {
    const current = this.#openings.get(spec.volumeName);
    if (current?.sizeBytes === spec.sizeBytes) return current.ready;
    const ready = this.#open(spec);
    const [oldest] = this.#openings.keys();
    if (this.#openings.size > MAX_OPEN_VOLUMES && oldest !== undefined) void this.close(oldest);
    return ready;
  }

  ensureOpenAnySize(spec: VolumeSpec): Promise<void> | undefined {
    const current = this.#openings.get(spec.volumeName);
    return current === undefined ? this.ensureOpen(spec) : current.ready;
  }

  isOpen({ volumeName, sizeBytes }: VolumeSpec): boolean {
    const opening = this.#openings.get(volumeName);
    return opening?.sizeBytes === sizeBytes && opening.ready === undefined;
  }

  async close(volumeName: string): Promise<void> {
    if (this.#openings.delete(volumeName)) await this.#call('close', { volumeName });
  }

  async closeEach(which: (volumeName: string) => boolean): Promise<void> {
    const names = [...this.#openings.keys()].filter((volumeName) => which(volumeName));
    await Promise.all(names.map((volumeName) => this.close(volumeName)));
  }

  async #open(spec: VolumeSpec): Promise<void> {
    const opening: Opening = { sizeBytes: spec.sizeBytes, ready: undefined };
    this.#openings.set(spec.volumeName, opening);
    opening.ready = this.#call('open', { spec }).then(
      () => {
        opening.ready = undefined;
      },
      (error: unknown) => {
        if (this.#openings.get(spec.volumeName) === opening) this.#openings.delete(spec.volumeName);
        throw error;
      },
    );
    await opening.ready;
  }
}

async function grantFlush(
  { connectionId, flushId }: FlushWish,
  flush: (() => Promise<void>) | undefined,
  client: DataThreadClient,
): Promise<void> {
  const isDone = await (flush?.() ?? Promise.reject(new Error('No such connection.'))).then(
    () => true,
    () => false,
  );
  await client.call('flushed', { connectionId, flushId, isDone });
}

function settle(pending: Map<number, PendingCall>, answer: DataAnswer): void {
  const call = pending.get(answer.callId);
  if (call === undefined) throw new Error(`A data thread answered call ${answer.callId}, which nobody made.`);
  pending.delete(answer.callId);
  if ('failure' in answer) call.reject(reviveFailure(answer.failure));
  else call.resolve(answer.result as never);
}
