import type { Kysely, Selectable } from 'kysely';
import type { ImagingJob } from '../../core/imaging.ts';
import type { ImagingReader } from '../metadata-store.ts';
import type { ImagingJobTable, Schema } from '../schema.ts';
import { prepareQuery } from './prepared-query.ts';

export const JOB_COLUMNS = [
  'job_id',
  'target_drive_id',
  'source_drive_id',
  'conversion',
  'state',
  'lease_owner',
  'lease_expires_at_ms',
  'checkpoint_bytes',
  'done_bytes',
  'total_bytes',
  'created_at_ms',
] as const;

type ImagingJobRow = Pick<Selectable<ImagingJobTable>, (typeof JOB_COLUMNS)[number]>;

/** The queries on imaging that run on every request, compiled for one kind of database. */
export type ImagingQueries = ReturnType<typeof prepareImagingQueries>;

export function prepareImagingQueries(db: Kysely<Schema>) {
  return {
    findByTarget: prepareQuery(({ driveId }: { driveId: string }) =>
      db.selectFrom('imaging_jobs').select(JOB_COLUMNS).where('target_drive_id', '=', driveId),
    ),
    listTouchingOne: prepareQuery(({ driveId }: { driveId: string }) => selectTouching(db, [driveId])),
  };
}

export function createImagingReader(db: Kysely<Schema>, queries: ImagingQueries): ImagingReader {
  return {
    async findByTarget(driveId) {
      const { rows } = await queries.findByTarget(db, { driveId });
      return rows[0] === undefined ? null : toJob(rows[0]);
    },
    async listTouching(driveIds) {
      const [driveId] = driveIds;
      if (driveId === undefined) return [];
      if (driveIds.length === 1) return (await queries.listTouchingOne(db, { driveId })).rows.map(toJob);
      return (await selectTouching(db, driveIds).execute()).map(toJob);
    },
    async list(limit) {
      const query = db.selectFrom('imaging_jobs').select(JOB_COLUMNS).orderBy('position').limit(limit);
      return (await query.execute()).map(toJob);
    },
  };
}

export function selectTouching(db: Kysely<Schema>, driveIds: readonly string[]) {
  return db
    .selectFrom('imaging_jobs')
    .select(JOB_COLUMNS)
    .where((eb) => eb.or([eb('target_drive_id', 'in', driveIds), eb('source_drive_id', 'in', driveIds)]))
    .orderBy('position');
}

export function toJob(row: ImagingJobRow): ImagingJob {
  return {
    jobId: row.job_id,
    targetDriveId: row.target_drive_id,
    sourceDriveId: row.source_drive_id,
    conversion: row.conversion,
    state: row.state,
    leaseOwner: row.lease_owner,
    leaseExpiresAtMs: row.lease_expires_at_ms,
    checkpointBytes: row.checkpoint_bytes,
    doneBytes: row.done_bytes,
    totalBytes: row.total_bytes,
    createdAtMs: row.created_at_ms,
  };
}
