import type { Node } from '../core/node.ts';
import type { Pools } from '../data-workers/pools.ts';
import type { Volumes } from '../data-workers/volumes.ts';
import type { DirectVolumes } from '../data-workers/direct-volumes.ts';
import type { WriteTracker } from '../data-workers/write-tracker.ts';
import type { MetadataStore } from '../metadata/metadata-store.ts';
import type { AuditEvent } from './audit.ts';
import type { Connections } from './connections.ts';
import type { CounterBuffer } from './counter-buffer.ts';
import type { DriveActivity } from './drive-activity.ts';
import type { DriveMoves } from './drive-moves.ts';
import type { GoneNodes } from './gone-nodes.ts';
import type { KeyedMutex } from './keyed-mutex.ts';
import type { KeyVault } from './key-vault.ts';
import type { NodePresence } from './node-presence.ts';
import type { PoolLoads } from './pool-loads.ts';
import type { PoolOwners } from './pool-owners.ts';
import type { VolumeKeys } from './volume-keys.ts';

/** Everything the use cases work with. */
export interface ServiceContext {
  readonly metadata: MetadataStore;
  /** This process among those that use the same database. */
  readonly node: Pick<NodePresence, 'nodeId' | 'state' | 'isFenced' | 'takesForGone'>;
  readonly pools: Pools;
  /** Those that have been active since this process has started. */
  readonly reachedPools: Set<string>;
  /** Taken before the claims of a drive are looked at, and given to what is then done with its volume. */
  readonly poolLife: () => number;
  /** Which pools other nodes have. */
  readonly poolOwners: PoolOwners;
  /** Keeps nodes that are gone from what others are given. */
  readonly goneNodes: GoneNodes;
  /** What placement decides by. */
  readonly poolLoads: PoolLoads;
  readonly volumes: Volumes;
  /** Volumes as programs reach them past Drivebay. */
  readonly directVolumes: DirectVolumes;
  readonly writes: WriteTracker;
  /** Drives that this process is creating at this moment. */
  readonly creating: Set<string>;
  /** One resize of a drive at a time. */
  readonly resizing: KeyedMutex;
  /** One change of a drive's claims at a time. */
  readonly claiming: KeyedMutex;
  /** One removal at a time of what a drive has left behind. */
  readonly removingStrays: KeyedMutex;
  /** Drives whose claims may have changed in a commit of unknown outcome: who has lost them is still to be cut. */
  readonly doubtfulClaims: Set<string>;
  readonly connections: Connections;
  /** What a server connects to with this secret, for each listener that is on: of another node, or of this one for null. */
  readonly attachUris: (
    secret: string,
    other: Pick<Node, 'nbd'> | null,
  ) => { readonly tcp?: string; readonly unix?: string };
  /** Puts into the log who may use which drive. */
  readonly audit: (event: AuditEvent) => void;
  readonly counters: CounterBuffer;
  /** What `counters` has counted since the process started. */
  readonly activity: DriveActivity;
  readonly keyVault: KeyVault;
  readonly volumeKeys: VolumeKeys;
  readonly moves: DriveMoves;
  /** Whether there may be other nodes, which serve the drives of pools that are no directories too. */
  readonly mayHaveOtherNodes: boolean;
  /** Tells the imaging queue that a job was added. */
  readonly wakeImaging: () => void;
  readonly now: () => number;
  /** Milliseconds that never go back; only differences mean anything. */
  readonly monotonicMs: () => number;
  readonly newUuid: () => string;
  /** Random bytes fit for keys. */
  readonly randomBytes: (lengthBytes: number) => Uint8Array;
  /** For what happens behind an answer: the error and one sentence on what was being done. */
  readonly reportFailure: (error: unknown, doing: string) => void;
}
