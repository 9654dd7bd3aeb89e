import { randomBytes, randomUUID } from 'node:crypto';
import type { Logger } from 'pino';
import { Registry } from 'prom-client';
import { POOL_LIVES_BYTES, poolLife } from './blockdev/pool-lives.ts';
import type { Config } from './config/config.ts';
import { createPieceLender } from './data-workers/piece-lender.ts';
import type { PieceLender } from './data-workers/piece-lender.ts';
import { createMovableVolumes } from './data-workers/movable-volumes.ts';
import { createThreadVolumes } from './data-workers/thread-volumes.ts';
import { createVolumeCopies } from './data-workers/volume-copies.ts';
import type { VolumeCopies } from './data-workers/volume-copies.ts';
import { createWriteTracker } from './data-workers/write-tracker.ts';
import { createArena, PIECE_BYTES } from './data-workers/arena.ts';
import type { Arena } from './data-workers/arena.ts';
import { createDirectVolumes } from './data-workers/direct-volumes.ts';
import type { Pools } from './data-workers/pools.ts';
import { createHttpServer } from './http/http-server.ts';
import type { HttpAddress } from './http/http-server.ts';
import { DEFAULT_HTTP_LIMITS } from './http/limits.ts';
import { openKeyVault } from './compose-keys.ts';
import { lockDataDirectory, makeDataDirectory } from './compose-data-directory.ts';
import { openMetadata } from './compose-metadata.ts';
import { registerMetrics } from './compose-metrics.ts';
import { joinNodes, ownDrain, ownNodeDuties, reachableAddress } from './compose-node.ts';
import type { NodeMembership } from './compose-node.ts';
import {
  createAttachUris,
  createConnectionRegistry,
  listenNbd,
  reachableNbd,
  urisOfOther,
} from './compose-nbd.ts';
import type { AttachUris } from './compose-nbd.ts';
import type { ConnectionRegistry } from './service/connection-registry.ts';
import type { NbdAddresses } from './nbd/nbd-server.ts';
import type { Service } from './service/service.ts';
import { measure, openPools, startImaging, startMoving, threadScratchBytes } from './compose-storage.ts';
import type { ImagingRunner } from './imaging/imaging-runner.ts';
import type { MetadataStore } from './metadata/metadata-store.ts';
import type { MovingRunner } from './moving/moving-runner.ts';
import { systemClock } from './runtime/clock.ts';
import type { Lifecycle } from './runtime/lifecycle.ts';
import { listenError } from './runtime/listen-error.ts';
import { createClaimSweeper } from './service/claim-sweeper.ts';
import { DriveActivity } from './service/drive-activity.ts';
import { createCounterBuffer } from './service/counter-buffer.ts';
import type { CounterBuffer } from './service/counter-buffer.ts';
import { createService } from './service/create-service.ts';
import { finishRemovals } from './service/drive-removal.ts';
import { createKeyedMutex } from './service/keyed-mutex.ts';
import type { KeyVault } from './service/key-vault.ts';
import { createGoneNodes } from './service/gone-nodes.ts';
import { createPoolLoads } from './service/pool-loads.ts';
import { createLoginThrottle } from './service/login-throttle.ts';
import type { ServiceContext } from './service/service-context.ts';
import { createFirstUser, loadInstallationId } from './service/start-up.ts';
import type { CredentialKeeper, Credentials } from './service/start-up.ts';
import { createVolumeKeys } from './service/volume-keys.ts';

/** How often what clients have read and written is put into the metadata. */
const COUNTER_FLUSH_MS = 1_000;

/** How often claims are looked for whose lease has run out. */
const CLAIM_SWEEP_MS = 1_000;

/** A server that has started. */
export interface RunningServer {
  readonly address: HttpAddress;
  readonly nbd: NbdAddresses;
  /** The first user's, when this start has made it. */
  readonly firstUser: Credentials | null;
}

export interface ServerOptions {
  readonly config: Config;
  readonly log: Logger;
  /** Owns everything that is started here. */
  readonly lifecycle: Lifecycle;
  /** Where the first user's credentials are kept, from before that user exists. */
  readonly credentialKeeper: CredentialKeeper;
  /** Ends the process: a thread has died that may have held a lock. */
  readonly crash: (error: Error) => void;
}

/** Puts the server together and starts it. Throws an Error with a sentence for the operator when it cannot start. */
export async function startServer(options: ServerOptions): Promise<RunningServer> {
  const { config, lifecycle, log } = options;
  const onMetadataBack: (() => void)[] = [];
  const metadata = await openDataDirectory(options, () => onMetadataBack.forEach((act) => act()));
  const installationId = await loadInstallationId(metadata, randomUUID);
  const { comeBack, ...membership } = await joinNodes({ ...options, metadata, installationId });
  const { node } = membership;
  const keyVault = await openKeyVault(config.masterKey, metadata);
  const activity = new DriveActivity();
  const connections = createConnectionRegistry(metadata, log, (driveId, done) => counters.add(driveId, done));
  const counters = createCounterBuffer({ metadata, activity, collect: () => connections.collect() });
  ownCounters(lifecycle, counters, log);

  const memory = planMemory(config);
  let onPoolActive: (poolName: string) => void = () => undefined;
  const pools = await openPools({
    ...options,
    ...membership,
    metadata,
    installationId,
    ...memory,
    onActive: (poolName) => onPoolActive(poolName),
  });
  lifecycle.own('pools', () => pools.stop());
  const imaging: { runner: ImagingRunner | null } = { runner: null };
  const moving: { runner: MovingRunner | null } = { runner: null };
  const copies = createVolumeCopies({ pools, lender: memory.readLender });
  const attachUris = createAttachUris(config);
  const parts = {
    metadata,
    ...membership,
    keyVault,
    counters,
    activity,
    pools,
    memory,
    imaging,
    moving,
    copies,
    connections,
    attachUris,
  };
  const context = createContext(options, parts);
  onPoolActive = (poolName) => onReached(context, poolName);
  for (const { spec } of pools.configs) onPoolActive(spec.name);
  imaging.runner = startImaging({ ...options, context, arena: memory.arena, nodeId: node.nodeId });
  // What could not be recorded while the database was away is half done now.
  const finishAll = (): void => pools.configs.forEach(({ spec }) => finishInBackground(context, spec.name));
  onMetadataBack.push(comeBack, finishAll);
  lifecycle.own('imaging', () => imaging.runner?.stop());
  ownClaimSweeper(lifecycle, context);
  if (config.metadata !== null) ownNodeDuties(lifecycle, context, finishAll);

  const firstUser = await createFirstUser(context, config.firstAdmin, options.credentialKeeper);
  await imaging.runner.start();
  moving.runner = startMoving(lifecycle, { context, copies, log });
  const { address, nbd } = await startListeners(options, { context, connections, attachUris });
  await node.announce({ address: reachableAddress(address), nbd: reachableNbd(config, nbd) });
  ownDrain(lifecycle, { node, imaging: imaging.runner, drainSeconds: config.drainSeconds });
  return { address, nbd, firstUser };
}

/** Keeps other processes out of the data directory, and opens the metadata. */
async function openDataDirectory(
  { config, lifecycle, log }: ServerOptions,
  onBack: () => void,
): Promise<MetadataStore> {
  makeDataDirectory(config.dataDirectory);
  const lock = lockDataDirectory(config.dataDirectory);
  lifecycle.own('data directory lock', () => lock[Symbol.dispose]());
  const metadata = await openMetadata(config, { log, onBack });
  lifecycle.own('metadata', () => metadata.close());
  return metadata;
}

async function startListeners(
  options: ServerOptions,
  parts: { context: ServiceContext; connections: ConnectionRegistry; attachUris: AttachUris },
): Promise<Pick<RunningServer, 'address' | 'nbd'>> {
  const throttle = createLoginThrottle({ now: systemClock.nowMs, sleep: systemClock.sleep });
  const service = createService(parts.context, throttle);
  const nbd = await listenNbd({ ...options, ...parts, service, throttle });
  const metrics = new Registry();
  registerMetrics(metrics, { ...parts.context, connections: parts.connections });
  return { nbd, address: await listen(options, { service, metrics }) };
}

function ownCounters(lifecycle: Lifecycle, counters: CounterBuffer, log: Logger): void {
  const flush = (): void => {
    counters
      .flush()
      .catch((error: unknown) => log.error({ err: error }, 'counting what was read and written'));
  };
  const timer = setInterval(flush, COUNTER_FLUSH_MS);
  lifecycle.own('counters', async () => {
    clearInterval(timer);
    await counters.flush();
  });
}

/** Ends claims as their leases run out. */
function ownClaimSweeper(lifecycle: Lifecycle, context: ServiceContext): void {
  const sweeper = createClaimSweeper(context);
  const sweep = (): void => {
    sweeper
      .sweep()
      .catch((error: unknown) => context.reportFailure(error, 'looking for claims that have expired'));
  };
  const timer = setInterval(sweep, CLAIM_SWEEP_MS);
  lifecycle.own('claims', async () => {
    clearInterval(timer);
    await sweeper.stop();
  });
}

interface Memory {
  readonly arena: Arena;
  readonly readLender: PieceLender;
  readonly bodyLender: PieceLender;
  /** See `poolLife`. */
  readonly lives: SharedArrayBuffer;
}

/** Half of the buffer memory for reads, half for bodies; what threads need for themselves comes on top. */
function planMemory(config: Config): Memory {
  const lendBytes = Math.floor(config.bufferMemoryBytes / 2 / PIECE_BYTES) * PIECE_BYTES;
  const arena = createArena(2 * lendBytes + threadScratchBytes(config) + PIECE_BYTES);
  return {
    arena,
    readLender: createPieceLender(arena, lendBytes),
    bodyLender: createPieceLender(arena, lendBytes),
    lives: new SharedArrayBuffer(POOL_LIVES_BYTES),
  };
}

interface ContextParts extends Omit<NodeMembership, 'comeBack'> {
  readonly metadata: MetadataStore;
  readonly keyVault: KeyVault;
  readonly counters: CounterBuffer;
  readonly activity: DriveActivity;
  readonly pools: Pools;
  readonly memory: Memory;
  readonly imaging: { readonly runner: ImagingRunner | null };
  readonly moving: { readonly runner: MovingRunner | null };
  readonly copies: VolumeCopies;
  readonly connections: ConnectionRegistry;
  readonly attachUris: AttachUris;
}

function createContext({ config, log }: ServerOptions, parts: ContextParts): ServiceContext {
  const { memory, imaging, moving, copies, attachUris, ...given } = parts;
  const now = (): number => given.node.nowMs();
  const reportFailure = (error: unknown, doing: string): void => log.error({ err: error }, doing);
  const life = (): number => poolLife(memory.lives);
  return {
    ...given,
    goneNodes: createGoneNodes(given),
    poolLoads: createPoolLoads({ ...given, now, reportFailure }),
    volumes: createMovableVolumes(createThreadVolumes({ ...memory, ...given }), life),
    directVolumes: createDirectVolumes(given.pools),
    writes: createWriteTracker(),
    reachedPools: new Set(),
    poolLife: life,
    creating: new Set(),
    resizing: createKeyedMutex(),
    claiming: createKeyedMutex(),
    removingStrays: createKeyedMutex(),
    doubtfulClaims: new Set(),
    attachUris: (secret, other) => (other === null ? attachUris.of(secret) : urisOfOther(other, secret)),
    audit: (event) => log.info({ audit: true, ...event }, 'audit'),
    volumeKeys: createVolumeKeys(given.metadata, given.keyVault),
    mayHaveOtherNodes: config.metadata !== null,
    moves: {
      measure: (volume) => measure(copies, volume),
      wake: () => moving.runner?.wake(),
      end: async (driveId) => await moving.runner?.end(driveId),
    },
    wakeImaging: () => imaging.runner?.wake(),
    now,
    monotonicMs: systemClock.monotonicMs,
    newUuid: randomUUID,
    randomBytes: (lengthBytes) => randomBytes(lengthBytes),
    reportFailure,
  };
}

/** A pool answers, for the first time or again. */
function onReached(context: ServiceContext, poolName: string): void {
  if (context.pools.statusOf(poolName).isActive) context.reachedPools.add(poolName);
  finishInBackground(context, poolName);
}

/** Finishes in a pool what was left half done; what fails now is tried again when the pool comes back. */
function finishInBackground(context: ServiceContext, poolName: string): void {
  if (!context.pools.statusOf(poolName).isActive) return;
  finishRemovals(context, poolName).catch((error: unknown) =>
    context.reportFailure(error, `finishing what was left half done in pool ${poolName}`),
  );
}

async function listen(
  { config, lifecycle, log }: ServerOptions,
  { service, metrics }: { service: Service; metrics: Registry },
): Promise<HttpAddress> {
  const server = await createHttpServer({
    service,
    logger: log,
    metrics,
    clock: { nowMs: systemClock.monotonicMs },
    limits: { ...DEFAULT_HTTP_LIMITS, connections: config.maxConnections },
    tls: config.tls,
    host: config.listen.host,
    port: config.listen.port,
  });
  lifecycle.own('http', () => server.close());
  const { host, port } = config.listen;
  return await server.listen().catch((error: unknown) => {
    throw listenError(error, { place: `${host}:${port}`, flag: '--listen' });
  });
}
