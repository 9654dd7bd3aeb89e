import type { PoolView } from '../core/placement.ts';
import { DriveError } from '../core/errors.ts';
import type { DataThreadGroup } from './data-thread-group.ts';
import type { PoolConfig, Pools } from './pools.ts';
import type { PoolSpec, PoolStatus } from './volume.ts';

/** A pool that has not answered for this long is inactive until it does. */
const STALLED_MS = 10_000;
const REFRESH_MS = 5_000;
/** At start, how long to wait for pools that are slow to answer before serving without them. */
const FIRST_LOOK_MS = 3_000;

interface PoolState {
  readonly config: PoolConfig;
  readonly threads: DataThreadGroup;
  status: PoolStatus;
  /** Bytes let in, and bytes written, since the room was last looked at. */
  pendingBytes: number;
  writtenBytes: number;
  check: Promise<void> | null;
}

export interface ThreadPoolsOptions {
  readonly configs: readonly PoolConfig[];
  readonly startThreads: (config: PoolConfig) => DataThreadGroup;
  /** Whether a directory without a mark may become this pool: only while it has never been marked. */
  readonly mayMark: (poolName: string) => Promise<boolean>;
  /** Called once a pool has been found marked as ours. */
  readonly onMarked: (poolName: string) => Promise<void>;
  readonly onChange: (poolName: string, status: PoolStatus) => void;
  /** Where a volume of the pool is. */
  readonly volumeLocation: (pool: PoolSpec, driveId: string) => string;
  readonly now: () => number;
}

/** Opens the configured pools and keeps watching them. */
export async function openThreadPools(options: ThreadPoolsOptions): Promise<Pools> {
  const states = new Map<string, PoolState>();
  for (const config of options.configs) {
    states.set(config.spec.name, {
      config,
      threads: options.startThreads(config),
      status: { isActive: false, reason: `Pool ${config.spec.name} has not answered yet.` },
      pendingBytes: 0,
      writtenBytes: 0,
      check: null,
    });
  }

  function stateOf(poolName: string): PoolState {
    const state = states.get(poolName);
    if (state === undefined) {
      throw new DriveError('system', `Pool ${poolName} is not configured.`, { pool: poolName });
    }
    return state;
  }

  function setStatus(state: PoolState, status: PoolStatus): void {
    const hasChanged = state.status.isActive !== status.isActive;
    state.status = status;
    if (hasChanged || !status.isActive) options.onChange(state.config.spec.name, status);
  }

  async function check(state: PoolState): Promise<void> {
    const poolName = state.config.spec.name;
    const mayMark = await options.mayMark(poolName);
    const writtenBefore = state.writtenBytes;
    try {
      const { reason, room } = await state.threads.leastBusy().call('check', { mayMark });
      if (reason === null && mayMark) await options.onMarked(poolName);
      state.writtenBytes -= writtenBefore;
      setStatus(
        state,
        room === null ? { isActive: false, reason: reason ?? 'unknown' } : { isActive: true, room },
      );
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      setStatus(state, { isActive: false, reason: `Pool ${poolName} cannot be used: ${message}` });
    }
  }

  async function refreshOne(state: PoolState): Promise<void> {
    state.check ??= check(state).finally(() => {
      state.check = null;
    });
    const stalledMs = state.threads.stalledMs(options.now());
    if (stalledMs > STALLED_MS && state.status.isActive) {
      const seconds = Math.round(stalledMs / 1000);
      const reason = `Pool ${state.config.spec.name} has not answered for ${seconds} s.`;
      setStatus(state, { isActive: false, reason });
    }
    await state.check;
  }

  /** Before saying no, looks again: what was written since may have replaced what was there. */
  async function hasRoom(state: PoolState, sizeBytes: number): Promise<boolean> {
    if (availableBytes(state) >= sizeBytes) return true;
    await refreshOne(state);
    return availableBytes(state) >= sizeBytes;
  }

  async function refresh(): Promise<void> {
    await Promise.all([...states.values()].map(refreshOne));
  }

  const firstLook = AbortSignal.timeout(FIRST_LOOK_MS);
  await Promise.race([
    refresh(),
    new Promise<void>((resolve) => {
      firstLook.addEventListener('abort', () => resolve(), { once: true });
    }),
  ]);
  const timer = setInterval(() => void refresh(), REFRESH_MS);
  timer.unref();

  const pools: Pools = {
    configs: options.configs,
    threadsOf(poolName) {
      const state = stateOf(poolName);
      if (!state.status.isActive) {
        throw new DriveError('system', state.status.reason, { pool: poolName });
      }
      return state.threads;
    },
    statusOf(poolName) {
      const state = states.get(poolName);
      return state?.status ?? { isActive: false, reason: `Pool ${poolName} is not configured.` };
    },
    views: () => [...states.values()].map(viewOf),
    async admit(poolName, sizeBytes) {
      const state = stateOf(poolName);
      if (!(await hasRoom(state, sizeBytes))) {
        throw new DriveError('full', `Pool ${poolName} has no room left for ${sizeBytes} bytes.`, {
          pool: poolName,
        });
      }
      return letIn(state, sizeBytes);
    },
    async admitWrite(poolName, sizeBytes) {
      const state = stateOf(poolName);
      const isPoolLow = !(await hasRoom(state, sizeBytes));
      return { isPoolLow, done: letIn(state, sizeBytes) };
    },
    volumeLocation: ({ driveId, poolName }) => options.volumeLocation(stateOf(poolName).config.spec, driveId),
    refresh,
    async stop() {
      clearInterval(timer);
      await Promise.all([...states.values()].map((state) => state.threads.stop()));
    },
  };
  return pools;
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
    availableBytes: availableBytes(state),
  };
}
