import type { Kysely } from 'kysely';
import type { Usage } from '../../core/user.ts';
import type { DriveReader } from '../metadata-store.ts';
import type { Schema } from '../schema.ts';
import { createKeyReader } from './drive-keys.ts';
import { selectListed } from './drive-list.ts';
import { DRIVE_COLUMNS, toDrive } from './drive-rows.ts';
import { selectApart } from './avoided-drives.ts';
import { createIdempotencyReader } from './idempotency-keys.ts';
import { prepareQuery } from './prepared-query.ts';

/** The queries on drives that run on every request, compiled for one kind of database. */
export type DriveQueries = ReturnType<typeof prepareDriveQueries>;

export function prepareDriveQueries(db: Kysely<Schema>) {
  return {
    find: prepareQuery(({ driveId }: { driveId: string }) =>
      selectDrives(db).where('d.drive_id', '=', driveId),
    ),
  };
}

function selectDrives(db: Kysely<Schema>) {
  return db
    .selectFrom('drives as d')
    .innerJoin('drive_counters as c', 'c.drive_id', 'd.drive_id')
    .select(DRIVE_COLUMNS);
}

export function createDriveReader(db: Kysely<Schema>, queries: DriveQueries): DriveReader {
  return {
    ...createKeyReader(db),
    ...createIdempotencyReader(db),
    async find(driveId) {
      const { rows } = await queries.find(db, { driveId });
      return rows[0] === undefined ? null : toDrive(rows[0]);
    },
    async findMany(driveIds) {
      if (driveIds.length === 0) return [];
      const query = selectDrives(db).where('d.drive_id', 'in', driveIds);
      return (await query.orderBy('d.drive_id').execute()).map(toDrive);
    },
    async list(query) {
      const rows = await selectListed(db, query).execute();
      return rows.map(toDrive);
    },
    async listApart(driveId) {
      const rows = await selectDrives(db)
        .where('d.drive_id', 'in', selectApart(db, driveId))
        .orderBy('d.drive_id')
        .execute();
      return rows.map(toDrive);
    },
    async usageByPool() {
      const rows = await db
        .selectFrom('drives')
        .select(['pool_name'])
        .select((eb) => [
          eb.cast<number>(eb.fn.countAll(), 'double precision').as('drives'),
          eb.cast<number>(eb.fn.sum('size_bytes'), 'double precision').as('size_bytes'),
        ])
        .groupBy('pool_name')
        .execute();
      return new Map<string, Usage>(
        rows.map((row) => [row.pool_name, { drives: row.drives, sizeBytes: row.size_bytes }]),
      );
    },
  };
}
