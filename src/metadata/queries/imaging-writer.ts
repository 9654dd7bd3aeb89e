import { sql } from 'kysely';
import type { ExpressionBuilder, Kysely, SelectQueryBuilder } from 'kysely';
import { DriveError } from '../../core/errors.ts';
import type { ImagingWriter } from '../metadata-store.ts';
import type { Schema } from '../schema.ts';
import { JOB_COLUMNS, toJob } from './imaging-reader.ts';

type NewJob = Parameters<ImagingWriter['insert']>[0];

export function createImagingWriter(db: Kysely<Schema>): ImagingWriter {
  return {
    insert: (job) => insertJob(db, job),
    async lease({ leaseOwner, leaseExpiresAtMs, ...wanted }) {
      const row = await db
        .updateTable('imaging_jobs')
        .set({ state: 'running', lease_owner: leaseOwner, lease_expires_at_ms: leaseExpiresAtMs })
        .where('position', '=', selectLeasable(db, wanted))
        .returning(JOB_COLUMNS)
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

async function insertJob(db: Kysely<Schema>, job: NewJob): Promise<void> {
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
}

interface WantedJob {
  readonly nowMs: number;
  readonly exceptJobIds?: readonly string[];
  readonly exceptPools?: readonly string[];
}

/** The job that is next: in the order of the queue, whoever left it. */
function selectLeasable(
  db: Kysely<Schema>,
  { nowMs, exceptJobIds = [], exceptPools = [] }: WantedJob,
): SelectQueryBuilder<Schema, 'imaging_jobs', { position: number }> {
  let leasable = db
    .selectFrom('imaging_jobs')
    .select('position')
    .where((eb) => eb.or([eb('state', '=', 'queued'), eb('lease_expires_at_ms', '<=', nowMs)]))
    .orderBy('position')
    .limit(sql.lit(1));
  if (exceptJobIds.length > 0) leasable = leasable.where('job_id', 'not in', exceptJobIds);
  if (exceptPools.length > 0) leasable = leasable.where(hasNoDriveIn(exceptPools));
  return leasable;
}

/** Looks the drives of each job up; a source that is there no more is in no pool. */
function hasNoDriveIn(poolNames: readonly string[]) {
  return ({ exists, not, selectFrom, ref }: ExpressionBuilder<Schema, 'imaging_jobs'>) =>
    not(
      exists(
        selectFrom('drives')
          .select('drives.drive_id')
          .where('drives.drive_id', 'in', [ref('target_drive_id'), ref('source_drive_id')])
          .where('drives.pool_name', 'in', poolNames),
      ),
    );
}
