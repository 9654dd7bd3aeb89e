import type { Generated } from 'kysely';
import type { ClaimAccess } from '../core/claim.ts';
import type { ClaimType, DriveCipher, DriveState, Tier } from '../core/drive.ts';
import type { Conversion, ImagingState } from '../core/imaging.ts';
import type { MoveState } from '../core/move.ts';
import type { NodeState } from '../core/node.ts';

/** The tables, as every database has them. Truth values are 0 and 1, times are milliseconds since 1970. */
export interface Schema {
  users: UserTable;
  user_usage: UserUsageTable;
  drives: DriveTable;
  drive_counters: DriveCounterTable;
  drive_readers: DriveReaderTable;
  drive_tags: DriveTagTable;
  drive_keys: DriveKeyTable;
  idempotency_keys: IdempotencyKeyTable;
  imaging_jobs: ImagingJobTable;
  claims: ClaimTable;
  avoided_drives: AvoidedDriveTable;
  drive_moves: DriveMoveTable;
  stray_volumes: StrayVolumeTable;
  nodes: NodeTable;
  pools: PoolTable;
  notices: NoticeTable;
  settings: SettingTable;
}

interface UserTable {
  user_id: string;
  name: string | null;
  is_admin: number;
  is_disabled: number;
  quota_drives: number | null;
  quota_bytes: number | null;
  created_at_ms: number;
  key_hash: Uint8Array;
}

/** What a user owns, kept with every change of a drive: a quota must not cost a look at all drives. */
interface UserUsageTable {
  user_id: string;
  drives: number;
  size_bytes: number;
}

/**
 * `readers`, `tags` and `attributes` are JSON, so that a drive is one row, read in one piece and in its owner's order.
 * `drive_readers` and `drive_tags` hold the same once more for finding drives by them.
 */
interface DriveTable {
  drive_id: string;
  user_id: string;
  name: string | null;
  size_bytes: number;
  claim_type: ClaimType;
  cipher: DriveCipher;
  tier: Tier;
  pool_name: string;
  /** Null while it is the drive's UUID. */
  volume_name: string | null;
  state: DriveState;
  readers: string;
  tags: string;
  attributes: string;
  imaging_error: string | null;
  created_at_ms: number;
  /** Of the newest claim that there ever was; 0 before the first. */
  last_epoch: Generated<number>;
  /** The claim under which programs reach the volume past Drivebay; null while none does. */
  direct_epoch: Generated<number | null>;
  limit_iops: number | null;
  limit_iops_burst: number | null;
  limit_bytes: number | null;
  limit_bytes_burst: number | null;
}

/** Apart from the drive because they change all the time. */
interface DriveCounterTable {
  drive_id: string;
  read_bytes: number;
  read_requests: number;
  write_bytes: number;
  write_requests: number;
}

/** `user_id` is the one who may read, or ALL_USERS. */
interface DriveReaderTable {
  drive_id: string;
  user_id: string;
}

/** `user_id` is the drive's owner: lists by tag are of one user's drives. */
interface DriveTagTable {
  drive_id: string;
  user_id: string;
  tag: string;
}

interface DriveKeyTable {
  drive_id: string;
  master_key_id: string;
  volume_key: Uint8Array;
  passphrase: Uint8Array;
}

interface IdempotencyKeyTable {
  user_id: string;
  idempotency_key: string;
  body_hash: Uint8Array;
  drive_id: string;
  expires_at_ms: number;
}

/** `position` is the place in the queue. */
export interface ImagingJobTable {
  position: Generated<number>;
  job_id: string;
  target_drive_id: string;
  source_drive_id: string;
  conversion: Conversion;
  state: ImagingState;
  lease_owner: string | null;
  lease_expires_at_ms: number | null;
  checkpoint_bytes: number | null;
  done_bytes: number;
  total_bytes: number;
  created_at_ms: number;
}

interface ClaimTable {
  drive_id: string;
  server_id: string;
  access: ClaimAccess;
  epoch: number;
  secret_hash: Uint8Array;
  claimed_at_ms: number;
  lease_ms: number | null;
  expires_at_ms: number | null;
}

/** That `drive_id` was made to share no failure domain with `avoided_id`. */
interface AvoidedDriveTable {
  drive_id: string;
  avoided_id: string;
}

/** `position` is the place in the queue. */
export interface DriveMoveTable {
  position: Generated<number>;
  drive_id: string;
  pool_name: string;
  tier: Tier | null;
  state: MoveState;
  error: string | null;
  done_bytes: number;
  total_bytes: number;
  created_at_ms: number;
  node_id: string | null;
}

interface StrayVolumeTable {
  pool_name: string;
  volume_name: string;
}

/** `nbd` is JSON, `state` what the node itself has said; times are the database's own. */
interface NodeTable {
  node_id: string;
  host: string;
  address: string;
  version: string;
  nbd: string | null;
  state: NodeState;
  started_at_ms: number;
  heartbeat_at_ms: number;
  revision: number;
}

/** Only pools that belong to one node are here. */
interface PoolTable {
  pool_name: string;
  node_id: string;
  domain: string;
}

/** What a node is to look at. */
interface NoticeTable {
  notice_id: string;
  node_id: string;
  drive_id: string;
}

interface SettingTable {
  key: string;
  value: string;
}
