import { sql } from 'kysely';
import type { Selectable } from 'kysely';
import type { Drive } from '../../core/drive.ts';
import type { Schema } from '../schema.ts';

/** Everything of a drive, from `drives as d` and `drive_counters as c`. */
export const DRIVE_COLUMNS = [
  'd.drive_id',
  'd.user_id',
  'd.name',
  'd.size_bytes',
  'd.claim_type',
  'd.cipher',
  'd.tier',
  'd.pool_name',
  'd.volume_name',
  'd.state',
  'd.readers',
  'd.tags',
  'd.attributes',
  'd.imaging_error',
  'd.created_at_ms',
  'd.direct_epoch',
  'd.limit_iops',
  'd.limit_iops_burst',
  'd.limit_bytes',
  'd.limit_bytes_burst',
  counter('read_bytes'),
  counter('read_requests'),
  counter('write_bytes'),
  counter('write_requests'),
] as const;

/** Counters can pass 2^53, where a number is no longer exact but an integer could not be read at all. */
function counter<Name extends string>(name: Name) {
  return sql<number>`cast(${sql.ref(`c.${name}`)} as double precision)`.as(name);
}

export type DriveRow = Omit<Selectable<Schema['drives']>, 'last_epoch'> &
  Selectable<Schema['drive_counters']>;

/** A drive's row without what never changes, or changes only with its claims. */
export type DriveChange = Omit<
  Selectable<Schema['drives']>,
  'drive_id' | 'user_id' | 'created_at_ms' | 'last_epoch' | 'direct_epoch'
>;

export function toDrive(row: DriveRow): Drive {
  return {
    driveId: row.drive_id,
    userId: row.user_id,
    name: row.name,
    sizeBytes: row.size_bytes,
    claimType: row.claim_type,
    cipher: row.cipher,
    tier: row.tier,
    poolName: row.pool_name,
    volumeName: row.volume_name ?? row.drive_id,
    state: row.state,
    readers: toList(row.readers),
    tags: toList(row.tags),
    attributes: row.attributes === '{}' ? {} : (JSON.parse(row.attributes) as Record<string, string>),
    counters: {
      readBytes: row.read_bytes,
      readRequests: row.read_requests,
      writeBytes: row.write_bytes,
      writeRequests: row.write_requests,
    },
    limits: {
      iops: row.limit_iops,
      iopsBurst: row.limit_iops_burst,
      bytesPerSecond: row.limit_bytes,
      burstBytes: row.limit_bytes_burst,
    },
    directEpoch: row.direct_epoch,
    imagingError: row.imaging_error,
    createdAtMs: row.created_at_ms,
  };
}

export function toDriveChange(drive: Drive): DriveChange {
  return {
    name: drive.name,
    size_bytes: drive.sizeBytes,
    claim_type: drive.claimType,
    cipher: drive.cipher,
    tier: drive.tier,
    pool_name: drive.poolName,
    volume_name: drive.volumeName === drive.driveId ? null : drive.volumeName,
    state: drive.state,
    readers: JSON.stringify(drive.readers),
    tags: JSON.stringify(drive.tags),
    attributes: JSON.stringify(drive.attributes),
    imaging_error: drive.imagingError,
    limit_iops: drive.limits.iops,
    limit_iops_burst: drive.limits.iopsBurst,
    limit_bytes: drive.limits.bytesPerSecond,
    limit_bytes_burst: drive.limits.burstBytes,
  };
}

function toList(json: string): readonly string[] {
  return json === '[]' ? [] : (JSON.parse(json) as string[]);
}
