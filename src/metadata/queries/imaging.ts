import { sql } from 'kysely';
import type { Kysely, Selectable } from 'kysely';
import { DriveError } from '../../core/errors.ts';
import type { ImagingJob } from '../../core/imaging.ts';
import type { ImagingReader, ImagingWriter } from '../metadata-store.ts';
import type { ImagingJobTable, Schema } from '../schema.ts';
import { prepareQuery } from './prepared-query.ts';

const COLUMNS = [
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

type ImagingJobRow = Pick<Selectable<ImagingJobTable>, (typeof COLUMNS)[number]>;

/** The queries on imaging that run on every request, compiled for one kind of database. */
export type ImagingQueries = ReturnType<typeof prepareImagingQueries>;

export function prepareImagingQueries(db: Kysely<Schema>) {
  return {
    findByTarget: prepareQuery(({ driveId }: { driveId: string }) =>
      db.selectFrom('imaging_jobs').select(COLUMNS).where('target_drive_id', '=', driveId),
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
      const query = db.selectFrom('imaging_jobs').select(COLUMNS).orderBy('position').limit(limit);
      return (await query.execute()).map(toJob);
    },
  };
}

export function selectTouching(db: Kysely<Schema>, driveIds: readonly string[]) {
  return db
    .selectFrom('imaging_jobs')
    .select(COLUMNS)
    .where((eb) => eb.or([eb('target_drive_id', 'in', driveIds), eb('source_drive_id', 'in', driveIds)]))
    .orderBy('position');
}

export function createImagingWriter(db: Kysely<Schema>): ImagingWriter {
  return {
    async insert(job) {
      const { numInsertedOrUpdatedRows } = await db
        .insertInto('imaging_jobs')
        .values({
          job_id: job.jobId,
          target_drive_id: job.targetDriveId,
          source_drive_id: job.sourceDriveId,
          conversion: job.conversion,
          state: 'queued',
          lease_owner: null,
          lease_expires_at_ms: null,
          checkpoint_bytes: null,
          done_bytes: 0,
          total_bytes: job.totalBytes,
          created_at_ms: job.createdAtMs,
        })
        .onConflict((conflict) => conflict.column('target_drive_id').doNothing())
        .executeTakeFirstOrThrow();
      if (numInsertedOrUpdatedRows === 0n) {
        throw new DriveError('busy', `Drive ${job.targetDriveId} is being imaged.`, {
          drive: job.targetDriveId,
        });
      }
    },
    async lease({ leaseOwner, nowMs, leaseExpiresAtMs }) {
      const row = await db
        .updateTable('imaging_jobs')
        .set({ state: 'running', lease_owner: leaseOwner, lease_expires_at_ms: leaseExpiresAtMs })
        .where('position', '=', selectLeasable(db, nowMs))
        .returning(COLUMNS)
        .executeTakeFirst();
      return row === undefined ? null : toJob(row);
    },
    async progress({ jobId, leaseOwner, leaseExpiresAtMs, checkpointBytes, doneBytes, totalBytes }) {
      const { numUpdatedRows } = await db
        .updateTable('imaging_jobs')
        .set({
          lease_expires_at_ms: leaseExpiresAtMs,
          checkpoint_bytes: checkpointBytes,
          done_bytes: doneBytes,
          total_bytes: totalBytes,
        })
        .where('job_id', '=', jobId)
        .where('lease_owner', '=', leaseOwner)
        .executeTakeFirstOrThrow();
      return numUpdatedRows > 0n;
    },
    async unlease({ jobId, leaseOwner }) {
      const { numUpdatedRows } = await db
        .updateTable('imaging_jobs')
        .set({ state: 'queued', lease_owner: null, lease_expires_at_ms: null })
        .where('job_id', '=', jobId)
        .where('lease_owner', '=', leaseOwner)
        .executeTakeFirstOrThrow();
      return numUpdatedRows > 0n;
    },
    async remove({ jobId, leaseOwner }) {
      const { numDeletedRows } = await db
        .deleteFrom('imaging_jobs')
        .where('job_id', '=', jobId)
        .where('lease_owner', '=', leaseOwner)
        .executeTakeFirstOrThrow();
      return numDeletedRows > 0n;
    },
  };
}

/** The job that is next: in the order of the queue, whoever left it. */
function selectLeasable(db: Kysely<Schema>, nowMs: number) {
  return db
    .selectFrom('imaging_jobs')
    .select('position')
    .where((eb) => eb.or([eb('state', '=', 'queued'), eb('lease_expires_at_ms', '<=', nowMs)]))
    .orderBy('position')
    .limit(sql.lit(1));
}

function toJob(row: ImagingJobRow): ImagingJob {
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
