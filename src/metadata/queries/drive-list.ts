import { sql } from 'kysely';
import type { AliasedExpression, Kysely } from 'kysely';
import type { DriveQuery } from '../metadata-store.ts';
import type { Schema } from '../schema.ts';
import { DRIVE_COLUMNS } from './drive-rows.ts';

type DriveIds = AliasedExpression<{ drive_id: string }, 'by'>;

/**
 * One page of drives. `by` is an index that gives the UUIDs in order, the one that narrows the list most; the drives
 * are looked up by it. `crossJoin` keeps SQLite from turning that around, to other databases it is any join.
 */
export function selectListed(db: Kysely<Schema>, query: DriveQuery) {
  const { readerId, tag, userId, state, poolName, limit } = query;
  // That `by` has only the user's drives is not asked for again: PostgreSQL would take the two conditions to leave so few drives
  // that it would look up, and sort, all of them for one page.
  const isOfUser = readerId === null && tag === null && (state === null || state === 'ready');
  return db
    .selectFrom(selectNarrowest(db, query))
    .crossJoin('drives as d')
    .innerJoin('drive_counters as c', 'c.drive_id', 'd.drive_id')
    .select(DRIVE_COLUMNS)
    .whereRef('d.drive_id', '=', 'by.drive_id')
    .where('by.drive_id', '>', query.after ?? '')
    .$if(userId !== null && !isOfUser, (narrowed) => narrowed.where('d.user_id', '=', userId ?? ''))
    .$if(poolName !== null, (narrowed) => narrowed.where('d.pool_name', '=', poolName ?? ''))
    .$if(state !== null, (narrowed) => narrowed.where('d.state', '=', state ?? 'ready'))
    .$if(readerId !== null && tag !== null, (narrowed) =>
      narrowed.innerJoin('drive_tags as t', 't.drive_id', 'd.drive_id').where('t.tag', '=', tag ?? ''),
    )
    .orderBy('by.drive_id')
    .limit(limit);
}

function selectNarrowest(db: Kysely<Schema>, query: DriveQuery): DriveIds {
  const { readerId, tag, userId, state, poolName } = query;
  if (readerId !== null) {
    return db.selectFrom('drive_readers').select('drive_id').where('user_id', '=', readerId).as('by');
  }
  if (tag !== null) {
    return selectTagged(db, tag)
      .$if(userId !== null, (tagged) => tagged.where('t.user_id', '=', userId ?? ''))
      .as('by');
  }
  if (state !== null && state !== 'ready') {
    // In the very words of the index `drives_unsettled`, without which it would not be used.
    return db
      .selectFrom('drives')
      .select('drive_id')
      .where(sql.ref('state'), '<>', sql.lit('ready'))
      .where('state', '=', state)
      .as('by');
  }
  const drives = db.selectFrom('drives').select('drive_id');
  if (userId !== null) return drives.where('user_id', '=', userId).as('by');
  if (poolName !== null) return drives.where('pool_name', '=', poolName).as('by');
  return drives.as('by');
}

function selectTagged(db: Kysely<Schema>, tag: string) {
  return db.selectFrom('drive_tags as t').select('t.drive_id').where('t.tag', '=', tag);
}
