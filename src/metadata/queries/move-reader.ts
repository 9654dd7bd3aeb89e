import type { Kysely, Selectable } from 'kysely';
import type { DriveMove } from '../../core/move.ts';
import type { MoveReader } from '../metadata-store.ts';
import type { DriveMoveTable, Schema } from '../schema.ts';
import { prepareQuery } from './prepared-query.ts';

const COLUMNS = [
  'drive_id',
  'pool_name',
  'tier',
  'state',
  'error',
  'done_bytes',
  'total_bytes',
  'created_at_ms',
  'node_id',
] as const;

type MoveRow = Pick<Selectable<DriveMoveTable>, (typeof COLUMNS)[number]>;

/** The queries on moves that run with every info, compiled for one kind of database. */
export type MoveQueries = ReturnType<typeof prepareMoveQueries>;

export function prepareMoveQueries(db: Kysely<Schema>) {
  return {
    find: prepareQuery(({ driveId }: { driveId: string }) =>
      db.selectFrom('drive_moves').select(COLUMNS).where('drive_id', '=', driveId),
    ),
  };
}

export function createMoveReader(db: Kysely<Schema>, queries: MoveQueries): MoveReader {
  return {
    async find(driveId) {
      const { rows } = await queries.find(db, { driveId });
      return rows[0] === undefined ? null : toMove(rows[0]);
    },
    async list(driveIds) {
      const [driveId] = driveIds;
      if (driveId === undefined) return [];
      if (driveIds.length === 1) return (await queries.find(db, { driveId })).rows.map(toMove);
      const query = db.selectFrom('drive_moves').select(COLUMNS).where('drive_id', 'in', driveIds);
      return (await query.execute()).map(toMove);
    },
    async listUnderWay(limit) {
      const rows = await db
        .selectFrom('drive_moves')
        .select(COLUMNS)
        .where('state', '<>', 'failed')
        .orderBy('position')
        .limit(limit)
        .execute();
      return rows.map(toMove);
    },
  };
}

function toMove(row: MoveRow): DriveMove {
  return {
    driveId: row.drive_id,
    poolName: row.pool_name,
    tier: row.tier,
    state: row.state,
    error: row.error,
    doneBytes: row.done_bytes,
    totalBytes: row.total_bytes,
    createdAtMs: row.created_at_ms,
    nodeId: row.node_id,
  };
}
