import { mkdirSync } from 'node:fs';
import { join, sep } from 'node:path';
import type { Logger } from 'pino';
import { volumePath } from './blockdev/file/volume-path.ts';
import { imageLocation } from './blockdev/rbd/image-name.ts';
import { RBD_CONNECTION_BYTES } from './blockdev/rbd/rbd-connection.ts';
import type { Config } from './config/config.ts';
import type { PoolSetting } from './config/pool-settings.ts';
import { XTS_SCRATCH_BYTES } from './crypto/xts.ts';
import type { Arena } from './data-workers/arena.ts';
import { startDataThread } from './data-workers/data-thread-client.ts';
import type { DataThreadClient } from './data-workers/data-thread-client.ts';
import { createDataThreadGroup } from './data-workers/data-thread-group.ts';
import type { PoolConfig, Pools } from './data-workers/pools.ts';
import type { DataThreadSetup } from './data-workers/protocol.ts';
import type { StoredVolume } from './data-workers/volume.ts';
import { openThreadPools } from './data-workers/thread-pools.ts';
import type { PoolSpec } from './blockdev/pool-spec.ts';
import type { VolumeCopies } from './data-workers/volume-copies.ts';
import { poolFailure } from './data-workers/pool-failure.ts';
import { createImagingRunner, IMAGING_LIMITS } from './imaging/imaging-runner.ts';
import type { ImagingRunner } from './imaging/imaging-runner.ts';
import { THREAD_BUFFER_BYTES } from './imaging/imaging-operations.ts';
import { startImagingThread } from './imaging/imaging-thread-client.ts';
import type { MetadataStore } from './metadata/metadata-store.ts';
import { createMovingRunner, MOVING_LIMITS } from './moving/moving-runner.ts';
import type { MovingRunner } from './moving/moving-runner.ts';
import { TRANSMISSION_BYTES } from './nbd/transmission/io-buffers.ts';
import { systemClock } from './runtime/clock.ts';
import type { Lifecycle } from './runtime/lifecycle.ts';
import type { NodePresence } from './service/node-presence.ts';
import type { PoolOwners } from './service/pool-owners.ts';
import { takeMovingDrive } from './service/moving-elsewhere.ts';
import { takeOverPools, takePools } from './service/take-pools.ts';
import type { TakenPool } from './service/take-pools.ts';
import { prepareImaging } from './service/prepare-imaging.ts';
import type { ServiceContext } from './service/service-context.ts';
import { mayMarkPool, rememberPoolMark } from './service/start-up.ts';
import { removeStrayLater, removeStraysLater } from './service/stray-removal.ts';

/** Regions of the arena begin on pages of WebAssembly. */
const PAGE_BYTES = 65536;
/** Blocks that one thread has in compression side by side, for each thread that imaging may use. */
const COMPRESS_JOBS_PER_THREAD = 2;

/** Memory of the arena that threads need for themselves, when as many run as ever may. */
export function threadScratchBytes(config: Config): number {
  const imagingThreads = config.imagingParallel * config.imagingThreads;
  const scratchBytes = XTS_SCRATCH_BYTES + PAGE_BYTES;
  return (
    config.pools.length * config.dataWorkers * scratchBytes +
    config.pools.length * config.nbdWorkers * (scratchBytes + TRANSMISSION_BYTES + PAGE_BYTES) +
    imagingThreads * (scratchBytes + THREAD_BUFFER_BYTES + PAGE_BYTES)
  );
}

/** Opens the configured pools, each with data threads of its own. */
export async function openPools(options: {
  config: Config;
  log: Logger;
  crash: (error: Error) => void;
  metadata: MetadataStore;
  node: Pick<NodePresence, 'nodeId'>;
  poolOwners: PoolOwners;
  installationId: string;
  arena: Arena;
  lives: SharedArrayBuffer;
  onActive: (poolName: string) => void;
}): Promise<Pools> {
  const { config, log, metadata, installationId, arena } = options;
  const configs = config.pools.map((pool): PoolConfig => {
    const { tier, domain, reserveBytes } = pool;
    return { tier, domain, reserveBytes, spec: poolSpecOf(pool, options) };
  });
  const start = (pool: PoolSpec, own: Pick<DataThreadSetup, 'transmission'>): DataThreadClient => {
    const scratch = arena.reserve(XTS_SCRATCH_BYTES);
    const setup = { memory: arena.memory, scratch, pool, installationId, ...own };
    return startDataThread(setup, { now: systemClock.monotonicMs, onCrash: options.crash });
  };
  const request = { nodeId: options.node.nodeId, pools: configs.filter(isOfOneNode).map(toTakenPool) };
  await takePools(metadata, request);
  await makeOwnPools(config, metadata);
  const pools = await openThreadPools({
    configs,
    startThreads: ({ spec: pool }) =>
      createDataThreadGroup({
        maxThreads: config.dataWorkers,
        start: () => start(pool, { transmission: null }),
      }),
    startConnectionThreads: ({ spec: pool }) =>
      createDataThreadGroup({
        maxThreads: config.nbdWorkers,
        start: () => start(pool, { transmission: arena.reserve(TRANSMISSION_BYTES) }),
      }),
    mayMark: (poolName) => mayMarkPool(metadata, poolName),
    onMarked: (poolName) => rememberPoolMark(metadata, poolName),
    onChange(pool, status) {
      if (status.isActive) {
        log.info({ pool }, 'pool is active');
        options.onActive(pool);
      } else log.warn({ pool, reason: status.reason }, 'pool is inactive');
    },
    volumeLocation,
    reasonOfUnknown: (poolName) => options.poolOwners.reasonOf(poolName),
    now: systemClock.monotonicMs,
  });
  try {
    for (const { poolName, nodeId } of await takeOverPools(metadata, request, pools)) {
      log.warn({ pool: poolName, node: nodeId }, 'pool is taken over from a node that is gone');
    }
    await options.poolOwners.refresh();
    return pools;
  } catch (error) {
    await pools.stop();
    throw error;
  }
}

function isOfOneNode({ spec }: PoolConfig): boolean {
  return spec.kind === 'file';
}

function toTakenPool({ spec, domain }: PoolConfig): TakenPool {
  return { poolName: spec.name, domain };
}

function poolSpecOf(
  { name, directory, rbd }: PoolSetting,
  { node: { nodeId }, lives }: { node: Pick<NodePresence, 'nodeId'>; lives: SharedArrayBuffer },
): PoolSpec {
  if (directory !== null) return { kind: 'file', name, directory };
  const connection = new SharedArrayBuffer(RBD_CONNECTION_BYTES);
  return { kind: 'rbd', name, ...rbd, nodeId, connection, lives };
}

function volumeLocation(pool: PoolSpec, volumeName: string): string {
  return pool.kind === 'file' ? volumePath(pool.directory, volumeName) : imageLocation(pool, volumeName);
}

/**
 * Makes the directories of pools that lie in the data directory, before they are used for the first time. Elsewhere a
 * directory that is missing may be a disk that is not mounted, so the operator makes those.
 */
async function makeOwnPools(config: Config, metadata: MetadataStore): Promise<void> {
  for (const { name, directory } of config.pools) {
    if (directory === null) continue;
    const isOwn = directory.startsWith(join(config.dataDirectory, sep));
    if (isOwn && (await mayMarkPool(metadata, name))) mkdirSync(directory, { recursive: true, mode: 0o700 });
  }
}

/** Makes the runner of the imaging queue. */
export function startImaging(options: {
  config: Config;
  context: ServiceContext;
  arena: Arena;
  log: Logger;
  nodeId: string;
}): ImagingRunner {
  const { config, context, arena, log, nodeId } = options;
  const { metadata, pools, reportFailure } = context;
  return createImagingRunner({
    metadata,
    pools,
    nodeId,
    otherPools: () => context.poolOwners.list().map(({ poolName }) => poolName),
    onLeft: (poolName) => removeStraysLater(context, poolName),
    reportUnshared: (imaging) => log.info(imaging, 'imaging copies, since blocks cannot be shared'),
    reportFailure,
    now: context.now,
    randomBytes: context.randomBytes,
    specOf: (drive) => context.volumeKeys.specOf(drive),
    beforeStart: (job) => prepareImaging(context, job),
    startThread: () =>
      startImagingThread({
        arena,
        pools: pools.configs.map(({ spec }) => spec),
        scratchBytes: XTS_SCRATCH_BYTES,
        compressJobs: COMPRESS_JOBS_PER_THREAD * config.imagingThreads,
      }),
    limits: {
      ...IMAGING_LIMITS,
      parallelJobs: config.imagingParallel,
      threadsPerJob: config.imagingThreads,
    },
  });
}

/** Begins to work on moves between pools. */
export function startMoving(
  lifecycle: Lifecycle,
  { context, copies, log }: { context: ServiceContext; copies: VolumeCopies; log: Logger },
): MovingRunner {
  const { metadata, node, pools, poolLife, volumes, monotonicMs, reportFailure } = context;
  const runner = createMovingRunner({
    metadata,
    node,
    poolLife,
    pools,
    copies,
    volumes,
    takeDrive: (drive, move) => takeMovingDrive(context, drive, move),
    monotonicMs,
    reportMoved: (moved) => log.info(moved, 'drive moved'),
    reportFailure,
    onLeft: (volume) => removeStrayLater(context, volume),
    limits: MOVING_LIMITS,
  });
  lifecycle.own('moving', () => runner.stop());
  runner.start();
  return runner;
}

/** The bytes that a volume holds, whatever its size. */
export async function measure(copies: VolumeCopies, volume: StoredVolume): Promise<number> {
  let dataBytes = 0;
  try {
    for await (const stretch of copies.stretches(volume)) dataBytes += stretch.lengthBytes;
  } catch (error) {
    throw poolFailure(error, volume);
  } finally {
    await copies.close(volume);
  }
  return dataBytes;
}
