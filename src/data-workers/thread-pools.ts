import type { PoolView } from '../core/placement.ts';
import { DriveError } from '../core/errors.ts';
import type { DataThreadGroup } from './data-thread-group.ts';
import type { PoolConfig, Pools, WriteAdmission } from './pools.ts';
import type { PoolSpec } from '../blockdev/pool-spec.ts';
import type { PoolStatus } from './volume.ts';

/** A pool that has not answered for this long is inactive until it does. */
const STALLED_MS = 10_000;
const REFRESH_MS = 5_000;
/** At start, how long to wait for pools that are slow to answer before serving without them. */
const FIRST_LOOK_MS = 3_000;

interface PoolState {
  readonly config: PoolConfig;
  readonly threads: DataThreadGroup;
  readonly connectionThreads: DataThreadGroup;
  readonly lowWord: SharedArrayBuffer;
  status: PoolStatus;
  /** Bytes let in, and bytes written, since the room was last looked at. */
  pendingBytes: number;
  writtenBytes: number;
  check: Promise<void> | null;
  /**
   * Whether the pool is known to have been marked once, which is never undone. It is asked no more then: a pool must
   * not go away because the metadata do.
   */
  isMarked: boolean;
}

export interface ThreadPoolsOptions {
  readonly configs: readonly PoolConfig[];
  readonly startThreads: (config: PoolConfig) => DataThreadGroup;
  /** Threads that serve NBD connections, and nothing else. */
  readonly startConnectionThreads: (config: PoolConfig) => DataThreadGroup;
  /** Whether a directory without a mark may become this pool: only while it has never been marked. */
  readonly mayMark: (poolName: string) => Promise<boolean>;
  /** Called once a pool has been found marked as ours. */
  readonly onMarked: (poolName: string) => Promise<void>;
  readonly onChange: (poolName: string, status: PoolStatus) => void;
  /** Where a volume of the pool is. */
  readonly volumeLocation: (pool: PoolSpec, volumeName: string) => string;
  /** Says of a pool that is not configured here where it is. */
  readonly reasonOfUnknown: (poolName: string) => string;
  readonly now: () => number;
}

/** Opens the configured pools and keeps watching them. */
export async function openThreadPools(options: ThreadPoolsOptions): Promise<Pools> {
  const pools = new ThreadPools(options);
  await pools.lookFirst();
  return pools;
}

class ThreadPools implements Pools {
  readonly #options: ThreadPoolsOptions;
  readonly #states: ReadonlyMap<string, PoolState>;
  readonly #timer: NodeJS.Timeout;

  constructor(options: ThreadPoolsOptions) {
    this.#options = options;
    this.#states = new Map(
      options.configs.map((config) => [config.spec.name, initialState(config, options)]),
    );
    this.#timer = setInterval(() => void this.refresh(), REFRESH_MS);
    this.#timer.unref();
  }

  get configs(): readonly PoolConfig[] {
    return this.#options.configs;
  }

  /** Looks at every pool, but does not wait for ever for one that hangs. */
  async lookFirst(): Promise<void> {
    const { promise: expired, resolve: expire } = Promise.withResolvers<void>();
    const timer = setTimeout(expire, FIRST_LOOK_MS);
    await Promise.race([this.refresh(), expired]);
    clearTimeout(timer);
  }

  threadsOf(poolName: string): DataThreadGroup {
    return this.#activeState(poolName).threads;
  }

  connectionThreadsOf(poolName: string): DataThreadGroup {
    return this.#activeState(poolName).connectionThreads;
  }

  async track(
    { volumeName, poolName }: { volumeName: string; poolName: string },
    changes: SharedArrayBuffer | null,
  ): Promise<void> {
    const { threads, connectionThreads } = this.#stateOf(poolName);
    await Promise.all([threads.track(volumeName, changes), connectionThreads.track(volumeName, changes)]);
  }

  lowWordOf(poolName: string): SharedArrayBuffer {
    return this.#stateOf(poolName).lowWord;
  }

  statusOf(poolName: string): PoolStatus {
    const state = this.#states.get(poolName);
    return state?.status ?? { isActive: false, reason: this.#options.reasonOfUnknown(poolName) };
  }

  queueDepth(poolName: string): number {
    return this.#stateOf(poolName).threads.pendingCalls;
  }

  views(): readonly PoolView[] {
    return [...this.#states.values()].map(viewOf);
  }

  async admit(poolName: string, sizeBytes: number): Promise<(writtenBytes: number) => void> {
    const state = this.#stateOf(poolName);
    if (!(await this.#hasRoom(state, sizeBytes))) {
      const sentence = `Pool ${poolName} has no room left for ${sizeBytes} bytes.`;
      throw new DriveError('full', sentence, { pool: poolName });
    }
    return letIn(state, sizeBytes);
  }

  async admitWrite(poolName: string, sizeBytes: number): Promise<WriteAdmission> {
    const state = this.#stateOf(poolName);
    const isPoolLow = !(await this.#hasRoom(state, sizeBytes));
    return { isPoolLow, done: letIn(state, sizeBytes) };
  }

  admitKnown(poolName: string, sizeBytes: number): ((writtenBytes: number) => void) | null {
    const state = this.#stateOf(poolName);
    return availableBytes(state) >= sizeBytes ? letIn(state, sizeBytes) : null;
  }

  volumeLocation({ volumeName, poolName }: { volumeName: string; poolName: string }): string {
    return this.#options.volumeLocation(this.#stateOf(poolName).config.spec, volumeName);
  }

  async fence(poolName: string, nodeId: string): Promise<void> {
    await this.threadsOf(poolName).leastBusy().call('fence', { nodeId });
  }

  async refresh(): Promise<void> {
    await Promise.all([...this.#states.values()].map((state) => this.#refreshOne(state)));
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    const states = [...this.#states.values()];
    await Promise.all(states.flatMap((state) => [state.threads.stop(), state.connectionThreads.stop()]));
  }

  #activeState(poolName: string): PoolState {
    const state = this.#stateOf(poolName);
    if (!state.status.isActive) throw new DriveError('system', state.status.reason, { pool: poolName });
    return state;
  }

  #stateOf(poolName: string): PoolState {
    const state = this.#states.get(poolName);
    if (state !== undefined) return state;
    throw new DriveError('system', this.#options.reasonOfUnknown(poolName), { pool: poolName });
  }

  /** Before saying no, looks again: what was written since may have replaced what was there. */
  async #hasRoom(state: PoolState, sizeBytes: number): Promise<boolean> {
    if (availableBytes(state) >= sizeBytes) return true;
    await this.#refreshOne(state);
    return availableBytes(state) >= sizeBytes;
  }

  async #refreshOne(state: PoolState): Promise<void> {
    state.check ??= this.#check(state).finally(() => {
      state.check = null;
    });
    const stalledMs = state.threads.stalledMs(this.#options.now());
    if (stalledMs > STALLED_MS && state.status.isActive) {
      const seconds = Math.round(stalledMs / 1000);
      const reason = `Pool ${state.config.spec.name} has not answered for ${seconds} s.`;
      this.#setStatus(state, { isActive: false, reason });
    }
    await state.check;
  }

  async #check(state: PoolState): Promise<void> {
    const poolName = state.config.spec.name;
    const writtenBefore = state.writtenBytes;
    try {
      const mayMark = !state.isMarked && (await this.#options.mayMark(poolName));
      const { reason, room, isReopened } = await state.threads.leastBusy().call('check', { mayMark });
      if (isReopened) await state.threads.closeVolumes(() => true);
      if (reason === null && mayMark) await this.#options.onMarked(poolName);
      state.isMarked = reason === null || !mayMark;
      state.writtenBytes -= writtenBefore;
      const inactive = { isActive: false, reason: reason ?? 'unknown' } as const;
      this.#setStatus(state, room === null ? inactive : { isActive: true, room });
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      this.#setStatus(state, { isActive: false, reason: `Pool ${poolName} cannot be used: ${message}` });
    }
  }

  #setStatus(state: PoolState, status: PoolStatus): void {
    const before = state.status;
    state.status = status;
    const isLow = status.isActive && availableBytes(state) === 0;
    Atomics.store(new Int32Array(state.lowWord), 0, isLow ? 1 : 0);
    const hasChanged = before.isActive !== status.isActive;
    const hasNewReason = !before.isActive && !status.isActive && before.reason !== status.reason;
    if (hasChanged || hasNewReason) this.#options.onChange(state.config.spec.name, status);
  }
}

function initialState(
  config: PoolConfig,
  { startThreads, startConnectionThreads }: ThreadPoolsOptions,
): PoolState {
  const reason = `Pool ${config.spec.name} has not answered yet.`;
  const status = { isActive: false, reason } as const;
  return {
    config,
    threads: startThreads(config),
    connectionThreads: startConnectionThreads(config),
    lowWord: new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT),
    status,
    pendingBytes: 0,
    writtenBytes: 0,
    check: null,
    isMarked: false,
  };
}

function letIn(state: PoolState, sizeBytes: number): (writtenBytes: number) => void {
  state.pendingBytes += sizeBytes;
  return (writtenBytes) => {
    state.pendingBytes -= sizeBytes;
    state.writtenBytes += writtenBytes;
  };
}

/** Room before the reserve. What was written since the last look is taken to be new, which errs on the safe side. */
function availableBytes(state: PoolState): number {
  if (!state.status.isActive) return 0;
  const { freeBytes, totalBytes } = state.status.room;
  const reserveBytes = state.config.reserveBytes(totalBytes);
  return Math.max(0, freeBytes - reserveBytes - state.pendingBytes - state.writtenBytes);
}

function viewOf(state: PoolState): PoolView {
  const { spec, domain, tier } = state.config;
  return {
    name: spec.name,
    domain,
    tier,
    isActive: state.status.isActive,
    totalBytes: state.status.isActive ? state.status.room.totalBytes : 0,
    availableBytes: availableBytes(state),
  };
}
