import type { Kysely } from 'kysely';
import type { Drive, DriveState } from '../../core/drive.ts';
import { driveMissing } from '../../core/errors.ts';
import type { Usage } from '../../core/user.ts';
import type { DriveWriter } from '../metadata-store.ts';
import type { Schema } from '../schema.ts';
import { insertAvoided } from './avoided-drives.ts';
import { createKeyWriter, insertKeys } from './drive-keys.ts';
import { toDriveChange } from './drive-rows.ts';
import type { DriveChange } from './drive-rows.ts';
import { createIdempotencyWriter } from './idempotency-keys.ts';
import { prepareQuery } from './prepared-query.ts';

/** The queries that every create and destroy takes, compiled for one kind of database. */
export type DriveChangeQueries = ReturnType<typeof prepareDriveChangeQueries>;

type InsertedDrive = DriveChange & { drive_id: string; user_id: string; created_at_ms: number };

export function prepareDriveChangeQueries(db: Kysely<Schema>) {
  return {
    // Each column by its name: whatever else the parameters have would have no place in the compiled query.
    insert: prepareQuery((row: InsertedDrive) =>
      db.insertInto('drives').values({
        drive_id: row.drive_id,
        user_id: row.user_id,
        ...changedColumns(row),
        created_at_ms: row.created_at_ms,
      }),
    ),
    insertCounters: prepareQuery((row: Schema['drive_counters']) =>
      db.insertInto('drive_counters').values({
        drive_id: row.drive_id,
        read_bytes: row.read_bytes,
        read_requests: row.read_requests,
        write_bytes: row.write_bytes,
        write_requests: row.write_requests,
      }),
    ),
    update: prepareQuery((row: DriveChange & { drive_id: string }) =>
      db.updateTable('drives').set(changedColumns(row)).where('drive_id', '=', row.drive_id),
    ),
    findBefore: prepareQuery(({ driveId }: { driveId: string }) =>
      db
        .selectFrom('drives')
        .select(['user_id', 'size_bytes', 'state', 'readers', 'tags'])
        .where('drive_id', '=', driveId),
    ),
    addUsage: prepareQuery((more: Usage & { userId: string }) =>
      db
        .updateTable('user_usage')
        .set((eb) => ({
          drives: eb('drives', '+', more.drives),
          size_bytes: eb('size_bytes', '+', more.sizeBytes),
        }))
        .where('user_id', '=', more.userId),
    ),
  };
}

/** @param onKeysForgotten is called when wrapped keys were overwritten or deleted, of which no copy may remain */
export function createDriveWriter(
  db: Kysely<Schema>,
  queries: DriveChangeQueries,
  onKeysForgotten: () => void,
): DriveWriter {
  const keyWriter = createKeyWriter(db, onKeysForgotten);

  async function addUsage(userId: string, after: Usage, before: Usage): Promise<void> {
    const drives = after.drives - before.drives;
    const sizeBytes = after.sizeBytes - before.sizeBytes;
    if (drives !== 0 || sizeBytes !== 0) await queries.addUsage(db, { userId, drives, sizeBytes });
  }

  return {
    ...keyWriter,
    ...createIdempotencyWriter(db),
    async insert(drive, keys) {
      const { driveId, userId, createdAtMs } = drive;
      const row = { ...toDriveChange(drive), drive_id: driveId, user_id: userId, created_at_ms: createdAtMs };
      // They are done in this order, and travel together.
      await Promise.all([
        queries.insert(db, row),
        queries.insertCounters(db, toCounterRow(drive)),
        insertReaders(db, drive),
        insertTags(db, drive),
        keys === null ? null : insertKeys(db, driveId, keys),
        addUsage(userId, countedUsage(drive.state, drive.sizeBytes), NOTHING),
      ]);
    },
    insertAvoided: (driveId, avoidedIds) => insertAvoided(db, driveId, avoidedIds),
    async update(drive) {
      const { driveId } = drive;
      const before = (await queries.findBefore(db, { driveId })).rows[0];
      if (before === undefined) throw driveMissing(driveId);
      const change = toDriveChange(drive);
      const after = countedUsage(drive.state, drive.sizeBytes);
      await Promise.all([
        queries.update(db, { ...change, drive_id: driveId }),
        change.readers === before.readers ? null : replaceReaders(db, drive),
        change.tags === before.tags ? null : replaceTags(db, { ...drive, userId: before.user_id }),
        addUsage(before.user_id, after, countedUsage(before.state, before.size_bytes)),
      ]);
    },
    async remove(driveId) {
      const before = (await queries.findBefore(db, { driveId })).rows[0];
      if (before === undefined) return;
      await keyWriter.updateKeys(driveId, null);
      await db.deleteFrom('drives').where('drive_id', '=', driveId).execute();
      await addUsage(before.user_id, NOTHING, countedUsage(before.state, before.size_bytes));
    },
  };
}

const NOTHING: Usage = { drives: 0, sizeBytes: 0 };

/** What a drive counts for in its owner's usage: nothing once it is being destroyed. */
function countedUsage(state: DriveState, sizeBytes: number): Usage {
  return state === 'destroying' ? NOTHING : { drives: 1, sizeBytes };
}

function changedColumns(row: DriveChange): DriveChange {
  return {
    name: row.name,
    size_bytes: row.size_bytes,
    claim_type: row.claim_type,
    cipher: row.cipher,
    tier: row.tier,
    pool_name: row.pool_name,
    volume_name: row.volume_name,
    state: row.state,
    readers: row.readers,
    tags: row.tags,
    attributes: row.attributes,
    imaging_error: row.imaging_error,
    limit_iops: row.limit_iops,
    limit_iops_burst: row.limit_iops_burst,
    limit_bytes: row.limit_bytes,
    limit_bytes_burst: row.limit_bytes_burst,
  };
}

function toCounterRow({ driveId, counters }: Drive): Schema['drive_counters'] {
  return {
    drive_id: driveId,
    read_bytes: counters.readBytes,
    read_requests: counters.readRequests,
    write_bytes: counters.writeBytes,
    write_requests: counters.writeRequests,
  };
}

async function replaceReaders(db: Kysely<Schema>, drive: Drive): Promise<void> {
  await db.deleteFrom('drive_readers').where('drive_id', '=', drive.driveId).execute();
  await insertReaders(db, drive);
}

async function insertReaders(db: Kysely<Schema>, { driveId, readers }: Drive): Promise<void> {
  if (readers.length === 0) return;
  const rows = [...new Set(readers)].map((userId) => ({ drive_id: driveId, user_id: userId }));
  await db.insertInto('drive_readers').values(rows).execute();
}

async function replaceTags(db: Kysely<Schema>, drive: Drive): Promise<void> {
  await db.deleteFrom('drive_tags').where('drive_id', '=', drive.driveId).execute();
  await insertTags(db, drive);
}

async function insertTags(db: Kysely<Schema>, { driveId, userId, tags }: Drive): Promise<void> {
  if (tags.length === 0) return;
  const rows = [...new Set(tags)].map((tag) => ({ drive_id: driveId, user_id: userId, tag }));
  await db.insertInto('drive_tags').values(rows).execute();
}
