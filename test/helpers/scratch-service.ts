import { randomBytes, randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createWriteTracker } from '../../src/data-workers/write-tracker.ts';
import type { Drive } from '../../src/core/drive.ts';
import type { User } from '../../src/core/user.ts';
import { MIB } from '../../src/core/sizes.ts';
import type { Pools } from '../../src/data-workers/pools.ts';
import type { Volumes } from '../../src/data-workers/volumes.ts';
import { insertDrives, insertUser, sampleDrive } from '../../src/metadata/describe-sample-rows.ts';
import type { MetadataStore } from '../../src/metadata/metadata-store.ts';
import { openSqliteStore } from '../../src/metadata/sqlite/sqlite-store.ts';
import type { AuditEvent } from '../../src/service/audit.ts';
import type { Connections, OpenConnections } from '../../src/service/connections.ts';
import { DriveActivity } from '../../src/service/drive-activity.ts';
import { createCounterBuffer } from '../../src/service/counter-buffer.ts';
import { createGoneNodes } from '../../src/service/gone-nodes.ts';
import { createPoolOwners } from '../../src/service/pool-owners.ts';
import { createPoolLoads } from '../../src/service/pool-loads.ts';
import { createService } from '../../src/service/create-service.ts';
import { createKeyedMutex } from '../../src/service/keyed-mutex.ts';
import { createLoginThrottle } from '../../src/service/login-throttle.ts';
import type { Service } from '../../src/service/service.ts';
import type { ServiceContext } from '../../src/service/service-context.ts';
import { createScratchDirectVolumes } from './scratch-direct-volumes.ts';
import type { ScratchDirectVolumes } from './scratch-direct-volumes.ts';

/** What was cut: the drive and what was kept, as `SERVER epoch`. */
export interface SeenCut {
  readonly drive: string;
  readonly keep: readonly string[];
}

/** Connections that a test opens and watches being cut. */
export interface ScratchConnections extends Connections {
  readonly cuts: SeenCut[];
  readonly cutPools: string[];
  readonly limitChanges: string[];
  open(driveId: string, connections: OpenConnections): void;
  close(driveId: string, epoch: number): void;
  /** Waited for by each cut before it ends anything. */
  beforeCut: () => Promise<void>;
  /** Counts what connections have done. */
  onCollect: () => void;
}

/** The use cases over a real database, with storage that keeps nothing and a clock that a test moves. */
export interface ScratchService extends AsyncDisposable {
  readonly service: Service;
  readonly context: ServiceContext;
  readonly connections: ScratchConnections;
  readonly direct: ScratchDirectVolumes;
  readonly events: AuditEvent[];
  readonly clock: { nowMs: number };
  /** What volumes were asked to do. */
  readonly volumeCalls: string[];
  /** Whether the one pool can be reached. */
  pool: { isActive: boolean };
  addUser(change?: Partial<User>): Promise<User>;
  addDrive(owner: User, change?: Partial<Drive>): Promise<Drive>;
}

export async function createScratchService(): Promise<ScratchService> {
  const directory = await mkdtemp(join(tmpdir(), 'drivebay-service-'));
  const metadata = await openSqliteStore({ path: join(directory, 'metadata.sqlite') });
  const connections = createScratchConnections();
  const events: AuditEvent[] = [];
  const clock = { nowMs: Date.UTC(2026, 0, 1) };
  const pool = { isActive: true };
  const volumeCalls: string[] = [];
  const parts = scratchParts(metadata, volumeCalls, pool);
  const context: ServiceContext = {
    ...parts,
    connections,
    attachUris: (secret) => ({ tcp: `nbd://127.0.0.1:10809/${secret}` }),
    audit: (event) => void events.push(event),
    now: () => clock.nowMs,
    monotonicMs: () => clock.nowMs,
    reportFailure: (error) => {
      throw error;
    },
  };
  const throttle = createLoginThrottle({ now: context.now, sleep: () => Promise.resolve() });
  return {
    service: createService(context, throttle),
    context,
    connections,
    direct: parts.directVolumes,
    events,
    clock,
    pool,
    volumeCalls,
    addUser: (change) => insertUser(metadata, change),
    async addDrive(owner, change) {
      const drive = sampleDrive(owner.userId, { sizeBytes: 64 * MIB, cipher: 'none', ...change });
      await insertDrives(metadata, [drive]);
      return drive;
    },
    async [Symbol.asyncDispose]() {
      await metadata.close();
      await rm(directory, { recursive: true });
    },
  };
}

export function createScratchConnections(): ScratchConnections {
  const openByDrive = new Map<string, OpenConnections[]>();
  const connections: ScratchConnections = {
    cuts: [],
    cutPools: [],
    limitChanges: [],
    beforeCut: () => Promise.resolve(),
    onCollect: () => undefined,
    open: (driveId, open) => void openByDrive.set(driveId, [...connections.list(driveId), open]),
    close(driveId, closedEpoch) {
      const left = connections.list(driveId).filter(({ epoch }) => epoch !== closedEpoch);
      openByDrive.set(driveId, left);
    },
    async cut(driveId, keep) {
      await connections.beforeCut();
      const names = keep.map(({ serverId, epoch }) => `${serverId} ${epoch}`);
      connections.cuts.push({ drive: driveId, keep: names });
      const left = connections
        .list(driveId)
        .filter(({ serverId, epoch }) => names.includes(`${serverId} ${epoch}`));
      openByDrive.set(driveId, [...left]);
    },
    cutPool: (poolName) => {
      connections.cutPools.push(poolName);
      return Promise.resolve();
    },
    list: (driveId) => openByDrive.get(driveId) ?? [],
    countByDrive: () =>
      new Map(
        [...openByDrive]
          .map(
            ([driveId, all]) => [driveId, all.reduce((sum, { connections: some }) => sum + some, 0)] as const,
          )
          .filter(([, count]) => count > 0),
      ),
    collect: () => connections.onCollect(),
    register: () => {
      throw new Error('Nobody connects here.');
    },
    limitsChanged: (driveId) => void connections.limitChanges.push(driveId),
  };
  return connections;
}

/** A node that was never cut off. */
export function scratchNode(nodeId: string): ServiceContext['node'] {
  return { nodeId, state: 'up', isFenced: false, takesForGone: ({ state }) => state === 'gone' };
}

function scratchParts(metadata: MetadataStore, volumeCalls: string[], pool: { readonly isActive: boolean }) {
  const activity = new DriveActivity();
  const pools = scratchPools(pool);
  const node = scratchNode('this');
  const poolOwners = createPoolOwners(metadata, node);
  return {
    metadata,
    node,
    goneNodes: createGoneNodes({ node, metadata, pools, poolOwners }),
    activity,
    pools,
    poolOwners,
    poolLoads: createPoolLoads({ metadata, pools, poolOwners, now: () => 0, reportFailure: () => undefined }),
    volumes: scratchVolumes(volumeCalls),
    directVolumes: createScratchDirectVolumes(),
    writes: createWriteTracker(),
    reachedPools: new Set(['default']),
    poolLife: () => 0,
    creating: new Set<string>(),
    resizing: createKeyedMutex(),
    claiming: createKeyedMutex(),
    removingStrays: createKeyedMutex(),
    mayHaveOtherNodes: false,
    moves: {
      measure: () => Promise.resolve(MIB),
      wake: () => undefined,
      end: () => Promise.resolve(),
    },
    doubtfulClaims: new Set<string>(),
    counters: createCounterBuffer({ metadata, activity, collect: () => undefined }),
    keyVault: {
      currentId: () => 'master',
      wrap: (secret: Uint8Array) => secret,
      unwrap: (wrapped: Uint8Array) => wrapped,
      beginRotation: () => Promise.resolve(),
      endRotation: () => Promise.resolve(),
    },
    volumeKeys: {
      specOf: ({ volumeName, poolName, sizeBytes }: Drive) => {
        const lock = new SharedArrayBuffer(8);
        return Promise.resolve({ volumeName, poolName, sizeBytes, volumeKey: null, lock });
      },
      forget: () => undefined,
    },
    wakeImaging: () => undefined,
    newUuid: randomUUID,
    randomBytes: (lengthBytes: number) => randomBytes(lengthBytes),
  };
}

function scratchPools(pool: { readonly isActive: boolean }): Pools {
  const room = { totalBytes: 2 ** 40, freeBytes: 2 ** 40 };
  return {
    configs: [
      {
        spec: { kind: 'file', name: 'default', directory: '/nowhere' },
        tier: null,
        domain: 'here',
        reserveBytes: () => 0,
      },
    ],
    threadsOf: () => ({ closeVolumes: () => Promise.resolve() }) as unknown as ReturnType<Pools['threadsOf']>,
    connectionThreadsOf: () => ({}) as ReturnType<Pools['threadsOf']>,
    track: () => Promise.resolve(),
    fence: () => Promise.resolve(),
    lowWordOf: () => new SharedArrayBuffer(4),
    statusOf: () => (pool.isActive ? { isActive: true, room } : { isActive: false, reason: 'It is away.' }),
    queueDepth: () => 0,
    views: () => [],
    admit: () => Promise.resolve(() => undefined),
    admitWrite: () => Promise.resolve({ isPoolLow: false, done: () => undefined }),
    admitKnown: () => () => undefined,
    volumeLocation: () => '/nowhere',
    refresh: () => Promise.resolve(),
    stop: () => Promise.resolve(),
  };
}

function scratchVolumes(calls: string[]): Volumes {
  const seen = <Result>(call: string, result: Result): Promise<Result> => {
    calls.push(call);
    return Promise.resolve(result);
  };
  return {
    create: ({ volumeName }) => seen(`create ${volumeName}`, undefined),
    remove: ({ volumeName }) => seen(`remove ${volumeName}`, undefined),
    resize: ({ volumeName }, { sizeBytes }) => seen(`resize ${volumeName} ${sizeBytes}`, undefined),
    read: ({ volumeName }) => seen(`read ${volumeName}`, { pieces: noPieces(), abandon: () => undefined }),
    readWithDigest: () => Promise.reject(new Error('Nothing here has a digest.')),
    send: () => {
      throw new Error('Nothing here is sent by threads.');
    },
    readSlowly: () => noPieces(),
    attach: () => ({ ended: Promise.resolve('disconnected'), detach: () => Promise.resolve() }),
    writeAsReceived: () => Promise.resolve(null),
    receive: () => Promise.resolve({ segments: [], encryptedBytes: 0, release: () => undefined }),
    write: ({ volumeName }) => seen(`write ${volumeName}`, 1),
    map: () => Promise.resolve([]),
    fillHoles: () => Promise.resolve(0),
    relocate: async (_driveId, work) => void (await work()),
    forgetMove: (driveId) => void calls.push(`forget ${driveId}`),
  };
}

async function* noPieces(): AsyncGenerator<never> {
  yield* [];
}
