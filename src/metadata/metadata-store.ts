import type { Claim, ClaimName } from '../core/claim.ts';
import type { Drive, DriveCounters, DriveState } from '../core/drive.ts';
import type { Conversion, ImagingJob } from '../core/imaging.ts';
import type { DriveMove } from '../core/move.ts';
import type { Node, NodePool, NodeState } from '../core/node.ts';
import type { Usage, User } from '../core/user.ts';

/**
 * Where Drivebay keeps what it knows. Reads outside of a transaction see only what is committed and durable.
 * Every state change is made inside `transaction`, which is serializable against every other one: what `work`
 * reads through `tx` stays true until it commits. A transaction has committed, durably, when the promise
 * resolves; when `work` throws, nothing has happened and the same error is thrown. Transactions that wait may share a
 * commit: `work` awaits nothing but `tx`, above all no lock that somebody holds while a transaction of theirs waits.
 *
 * Errors: DriveError `system` when the database cannot be reached, `full` when its disk is full. With `system` a
 * transaction may have been made nevertheless, when the database went away while it committed; `isInDoubt` is among
 * the facts then.
 */
export interface MetadataStore {
  readonly users: UserReader;
  readonly drives: DriveReader;
  readonly imaging: ImagingReader;
  readonly claims: ClaimReader;
  readonly moves: MoveReader;
  readonly nodes: NodeReader;
  readonly notices: NoticeReader;
  transaction<Result>(work: (tx: MetadataTransaction) => Promise<Result>): Promise<Result>;
  /**
   * Adds to counters of many drives in one transaction; unknown drives are passed over. One call at a time: who is
   * refused gives the same again with the next call, together with what came since, and nothing is added twice.
   */
  addCounters(deltas: ReadonlyMap<string, DriveCounters>): Promise<void>;
  /** Answers when the database works; throws DriveError `system` otherwise. For health checks. */
  ping(): Promise<void>;
  close(): Promise<void>;
}

/** The same reads, and the writes, all in one transaction. `work` must not use it after it has settled. */
export interface MetadataTransaction {
  readonly users: UserReader & UserWriter;
  readonly drives: DriveReader & DriveWriter;
  readonly imaging: ImagingReader & ImagingWriter;
  readonly claims: ClaimReader & ClaimWriter;
  readonly moves: MoveReader & MoveWriter;
  readonly strays: StrayVolumeStore;
  readonly nodes: NodeReader & NodeWriter;
  readonly notices: NoticeReader & NoticeWriter;
  readonly settings: SettingStore;
}

export interface UserReader {
  find(userId: string): Promise<User | null>;
  /** The user, and the SHA-256 of its key (32 bytes); null when there is none. One query: it runs on every request. */
  findWithKeyHash(userId: string): Promise<{ user: User; keyHash: Uint8Array } | null>;
  /** Users in the order of their UUIDs. */
  list(page: Page): Promise<readonly User[]>;
  /** Drives of the user that are creating or ready, and their bytes; nothing for an unknown user. Costs one lookup. */
  usage(userId: string): Promise<Usage>;
}

export interface UserWriter {
  insert(user: User, keyHash: Uint8Array): Promise<void>;
  /** Replaces everything but the key hash and the creation time. Throws DriveError `missing` when there is no such user. */
  update(user: User): Promise<void>;
  /** Throws DriveError `missing` when there is no such user. */
  updateKeyHash(userId: string, keyHash: Uint8Array): Promise<void>;
}

/** Part of an ordered list: at most `limit` entries after the one named. */
export interface Page {
  readonly after: string | null;
  readonly limit: number;
}

/** Which drives to list, always in the order of their UUIDs. */
export interface DriveQuery extends Page {
  /** Drives of this user; null for any. */
  readonly userId: string | null;
  /** Drives that this user or, with `ALL_USERS`, everybody may read by `readers`; null for any. */
  readonly readerId: string | null;
  readonly tag: string | null;
  readonly state: DriveState | null;
  /** Drives in this pool; null for any. */
  readonly poolName: string | null;
}

export interface DriveReader {
  /** In whatever state it is. */
  find(driveId: string): Promise<Drive | null>;
  /** Those of these drives that there are, in whatever state they are, in the order of their UUIDs. */
  findMany(driveIds: readonly string[]): Promise<readonly Drive[]>;
  list(query: DriveQuery): Promise<readonly Drive[]>;
  /** Keys of a drive, wrapped under the master key; null when the drive has none. */
  findKeys(driveId: string): Promise<WrappedKeys | null>;
  /** The drive that an Idempotency-Key made, and a hash of the request's body (32 bytes); null when unknown or expired. */
  findIdempotent(request: { userId: string; idempotencyKey: string; nowMs: number }): Promise<{
    driveId: string;
    bodyHash: Uint8Array;
  } | null>;
  /** Drives that this one avoids or that avoid it, those that there still are, in whatever state they are. */
  listApart(driveId: string): Promise<readonly Drive[]>;
  /** Drives and bytes in each pool, of every state. */
  usageByPool(): Promise<ReadonlyMap<string, Usage>>;
}

/** What opens a drive's LUKS volume, each wrapped under the master key of this id. */
export interface WrappedKeys {
  readonly masterKeyId: string;
  readonly volumeKey: Uint8Array;
  readonly passphrase: Uint8Array;
}

export interface DriveWriter {
  insert(drive: Drive, keys: WrappedKeys | null): Promise<void>;
  /** Remembers which drives this one avoids, for as long as both exist. */
  insertAvoided(driveId: string, avoidedIds: readonly string[]): Promise<void>;
  /** Replaces everything but counters, keys, owner, creation time and `directEpoch`. Throws DriveError `missing` when there is none. */
  update(drive: Drive): Promise<void>;
  /** Forgets the drive and all that belongs to it. Nothing happens when it does not exist. */
  remove(driveId: string): Promise<void>;
  /**
   * Replaces the wrapped keys; null forgets them. SQLite leaves no copy of them in its files; PostgreSQL, its log and
   * its standbys keep some for a time.
   */
  updateKeys(driveId: string, keys: WrappedKeys | null): Promise<void>;
  /** Drives whose keys are wrapped under another master key than this, in the order of their UUIDs. */
  listKeysNotUnder(
    masterKeyId: string,
    page: Page,
  ): Promise<readonly { driveId: string; keys: WrappedKeys }[]>;
  /** Throws DriveError `busy` while the user has an entry under this key, also an expired one. */
  insertIdempotent(entry: {
    userId: string;
    idempotencyKey: string;
    bodyHash: Uint8Array;
    driveId: string;
    expiresAtMs: number;
  }): Promise<void>;
  /** Forgets Idempotency-Keys that expired; returns how many. */
  removeExpiredIdempotent(nowMs: number): Promise<number>;
}

export interface ImagingReader {
  /** The job onto this drive, if any. */
  findByTarget(driveId: string): Promise<ImagingJob | null>;
  /** Every job that has one of these drives as its target or its source, oldest first. */
  listTouching(driveIds: readonly string[]): Promise<readonly ImagingJob[]>;
  /** Every job, oldest first, at most `limit`. */
  list(limit: number): Promise<readonly ImagingJob[]>;
}

/** What is written of a job while it runs. */
export interface ImagingProgress {
  readonly jobId: string;
  readonly leaseOwner: string;
  readonly leaseExpiresAtMs: number;
  readonly checkpointBytes: number | null;
  readonly doneBytes: number;
  readonly totalBytes: number;
}

export interface ImagingWriter {
  /** A new job, queued behind all others. Throws DriveError `busy` when the target has one. */
  insert(job: {
    jobId: string;
    targetDriveId: string;
    sourceDriveId: string;
    conversion: Conversion;
    totalBytes: number;
    createdAtMs: number;
  }): Promise<void>;
  /**
   * Takes the oldest job that is queued or whose lease ran out, passing over those in `exceptJobIds` and those with a drive
   * in `exceptPools` (none when absent), under a lease of this owner; null when there is none.
   */
  lease(request: {
    leaseOwner: string;
    nowMs: number;
    leaseExpiresAtMs: number;
    exceptJobIds?: readonly string[];
    exceptPools?: readonly string[];
  }): Promise<ImagingJob | null>;
  /** Records progress and extends the lease; false when the lease is no longer this owner's. */
  progress(progress: ImagingProgress): Promise<boolean>;
  /** Puts a job back into the queue, keeping its place and its checkpoint; false when the lease is not this owner's. */
  unlease(request: { jobId: string; leaseOwner: string }): Promise<boolean>;
  /** Ends the job; false when the lease is no longer this owner's. */
  remove(request: { jobId: string; leaseOwner: string }): Promise<boolean>;
}

/** Claims as they were made: whether a lease has run out is for the caller to see. */
export interface ClaimReader {
  find(claim: { driveId: string; serverId: string }): Promise<Claim | null>;
  /** The claim whose secret has this SHA-256 (32 bytes). Costs one lookup, also when there is none. */
  findBySecretHash(secretHash: Uint8Array): Promise<Claim | null>;
  /** All claims on these drives, those of one drive together and in the order of their epochs. */
  list(driveIds: readonly string[]): Promise<readonly Claim[]>;
  /**
   * Claims whose lease has run out, the longest ago first, at most `limit`; without those on drives in `exceptPools`
   * (none when absent).
   */
  listExpired(request: {
    nowMs: number;
    limit: number;
    exceptPools?: readonly string[];
  }): Promise<readonly Claim[]>;
  /** Drives whose `directEpoch` is that of no claim that there is, at most `limit`, in no order. */
  listLeftOpen(limit: number): Promise<readonly Pick<Drive, 'driveId' | 'poolName'>[]>;
  /** How many claims there are, those whose lease has run out but that nobody has ended yet included. */
  count(): Promise<number>;
}

export interface ClaimWriter {
  /** The drive's next epoch, from 1 up, never twice the same once committed. Throws DriveError `missing` when there is none. */
  nextEpoch(driveId: string): Promise<number>;
  /** Makes the claim this server's one on the drive, in place of any that it had. */
  put(claim: Claim): Promise<void>;
  /** Sets `Drive.directEpoch`, which nothing else changes. Throws DriveError `missing` when there is no such drive. */
  setDirectEpoch(driveId: string, epoch: number | null): Promise<void>;
  /** Ends this very claim; false when it has ended already. */
  remove(claim: ClaimName): Promise<boolean>;
}

export interface MoveReader {
  /** The move of this drive, also one that has failed; null when there is none. */
  find(driveId: string): Promise<DriveMove | null>;
  /** The moves of these drives, in no order. */
  list(driveIds: readonly string[]): Promise<readonly DriveMove[]>;
  /** The moves that have not failed, oldest first, at most `limit`. */
  listUnderWay(limit: number): Promise<readonly DriveMove[]>;
}

export interface MoveWriter {
  /** A new move, queued behind all others, in place of one that has failed. Throws DriveError `busy` when one is under way. */
  insert(
    move: Pick<DriveMove, 'driveId' | 'poolName' | 'tier' | 'totalBytes' | 'createdAtMs' | 'nodeId'>,
  ): Promise<void>;
  /**
   * Records how far a move is that goes to the pool it names and is made by the node that it names; false when there is no such
   * move under way any more.
   */
  progress(
    move: Pick<DriveMove, 'driveId' | 'poolName' | 'state' | 'error' | 'doneBytes' | 'totalBytes'> & {
      readonly nodeId: string;
    },
  ): Promise<boolean>;
  /** Gives a move that is under way to a node; false unless it goes to that pool and is the other node's, or nobody's for null. */
  take(request: {
    driveId: string;
    poolName: string;
    fromNodeId: string | null;
    nodeId: string;
  }): Promise<boolean>;
  /** Nothing happens when there is none. */
  remove(driveId: string): Promise<void>;
}

/** A volume in a pool, by its name. */
export interface StrayVolume {
  readonly volumeName: string;
  readonly poolName: string;
}

/** Volumes that are to be removed: their drive has another one, or is there no more, or they may never have become its own. */
export interface StrayVolumeStore {
  /** Those of one pool, in the order of their names. */
  list(poolName: string, page: Page): Promise<readonly StrayVolume[]>;
  has(volume: StrayVolume): Promise<boolean>;
  /** Nothing happens when it is known already. */
  insert(volume: StrayVolume): Promise<void>;
  remove(volume: StrayVolume): Promise<void>;
}

/** The nodes that use the database. Times are by its own clock, whatever those of the nodes say. */
export interface NodeReader {
  /** Every node, in the order of their hosts. */
  list(): Promise<readonly Node[]>;
  /** The pools that belong to one node each, in the order of their names. */
  listPools(): Promise<readonly NodePool[]>;
}

export interface NodeWriter {
  /** Takes note of a node that starts, in place of its earlier life. */
  register(node: Pick<Node, 'nodeId' | 'host' | 'address' | 'version' | 'nbd'>): Promise<void>;
  /** A sign of life with the node's state; the time of the database, or null when there is no such node. */
  beat(nodeId: string, state: NodeState): Promise<number | null>;
  /** Makes the pool this node's. */
  putPool(pool: NodePool): Promise<void>;
  /** Forgets whose pool it was. */
  removePool(poolName: string): Promise<void>;
  /** Forgets nodes without pools that have not been heard of for this long. */
  removeUnheard(sinceMs: number): Promise<void>;
}

/** Tells a node that something about a drive has changed that it has to act on. */
export interface Notice {
  readonly noticeId: string;
  readonly nodeId: string;
  readonly driveId: string;
}

/** A notice with the state of the node that is to heed it. */
export interface OpenNotice extends Omit<Notice, 'driveId'> {
  readonly node: Pick<Node, 'state' | 'hasEnded'>;
}

/** Notices that have not been heeded yet. */
export interface NoticeReader {
  /** Those for this node, at most `limit`, in no order. */
  listOf(nodeId: string, limit: number): Promise<readonly Notice[]>;
  /** Those of these notices that there still are. */
  listOpen(noticeIds: readonly string[]): Promise<readonly OpenNotice[]>;
}

export interface NoticeWriter {
  /** The node must be there. */
  put(notice: Notice): Promise<void>;
  /** They have been heeded. */
  remove(noticeIds: readonly string[]): Promise<void>;
}

/** Facts about the installation itself: its UUID, the id of its master key. */
export interface SettingStore {
  get(key: string): Promise<string | null>;
  set(key: string, value: string): Promise<void>;
  /** Nothing happens when there is none. */
  remove(key: string): Promise<void>;
}
