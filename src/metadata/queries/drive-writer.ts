import type { Kysely, Selectable } from 'kysely';
import type { Drive, DriveState } from '../../core/drive.ts';
import { driveMissing, DriveError } from '../../core/errors.ts';
import type { DriveWriter, WrappedKeys } from '../metadata-store.ts';
import type { Schema } from '../schema.ts';
import { toDriveChange } from './drive-rows.ts';

type OwnedRow = Pick<Selectable<Schema['drives']>, 'user_id' | 'size_bytes' | 'state' | 'readers' | 'tags'>;

/** @param onKeysForgotten is called when wrapped keys were overwritten or deleted, of which no copy may remain */
export function createDriveWriter(db: Kysely<Schema>, onKeysForgotten: () => void): DriveWriter {
  return {
    async insert(drive, keys) {
      const row = { ...toDriveChange(drive), drive_id: drive.driveId, user_id: drive.userId };
      await db
        .insertInto('drives')
        .values({ ...row, created_at_ms: drive.createdAtMs })
        .execute();
      await insertCounters(db, drive);
      await insertReaders(db, drive);
      await insertTags(db, drive);
      if (keys !== null) await db.insertInto('drive_keys').values(toKeyRow(drive.driveId, keys)).execute();
      await addUsage(db, drive.userId, owned(drive.state, drive.sizeBytes), NOTHING);
    },
    async update(drive) {
      const before = await findOwned(db, drive.driveId);
      if (before === null) throw driveMissing(drive.driveId);
      const change = toDriveChange(drive);
      await db.updateTable('drives').set(change).where('drive_id', '=', drive.driveId).execute();
      if (change.readers !== before.readers) await replaceReaders(db, drive);
      if (change.tags !== before.tags) await replaceTags(db, { ...drive, userId: before.user_id });
      const after = owned(drive.state, drive.sizeBytes);
      await addUsage(db, before.user_id, after, owned(before.state, before.size_bytes));
    },
    async remove(driveId) {
      const before = await findOwned(db, driveId);
      if (before === null) return;
      await updateKeys(db, { driveId, keys: null, onKeysForgotten });
      await db.deleteFrom('drives').where('drive_id', '=', driveId).execute();
      await addUsage(db, before.user_id, NOTHING, owned(before.state, before.size_bytes));
    },
    updateKeys: (driveId, keys) => updateKeys(db, { driveId, keys, onKeysForgotten }),
    async listKeysNotUnder(masterKeyId, { after, limit }) {
      const rows = await db
        .selectFrom('drive_keys')
        .select(['drive_id', 'master_key_id', 'volume_key', 'passphrase'])
        .where('master_key_id', '<>', masterKeyId)
        .where('drive_id', '>', after ?? '')
        .orderBy('drive_id')
        .limit(limit)
        .execute();
      return rows.map((row) => ({
        driveId: row.drive_id,
        keys: { masterKeyId: row.master_key_id, volumeKey: row.volume_key, passphrase: row.passphrase },
      }));
    },
    async insertIdempotent({ userId, idempotencyKey, bodyHash, driveId, expiresAtMs }) {
      const { numInsertedOrUpdatedRows } = await db
        .insertInto('idempotency_keys')
        .values({
          user_id: userId,
          idempotency_key: idempotencyKey,
          body_hash: bodyHash,
          drive_id: driveId,
          expires_at_ms: expiresAtMs,
        })
        .onConflict((conflict) => conflict.columns(['user_id', 'idempotency_key']).doNothing())
        .executeTakeFirstOrThrow();
      if (numInsertedOrUpdatedRows === 0n) {
        throw new DriveError('busy', `Idempotency-Key ${idempotencyKey} is in use.`, { user: userId });
      }
    },
    async removeExpiredIdempotent(nowMs) {
      const expired = db.deleteFrom('idempotency_keys').where('expires_at_ms', '<=', nowMs);
      return Number((await expired.executeTakeFirstOrThrow()).numDeletedRows);
    },
  };
}

async function updateKeys(
  db: Kysely<Schema>,
  change: { driveId: string; keys: WrappedKeys | null; onKeysForgotten: () => void },
): Promise<void> {
  const { driveId, keys, onKeysForgotten } = change;
  const forgotten = db.deleteFrom('drive_keys').where('drive_id', '=', driveId);
  if ((await forgotten.executeTakeFirstOrThrow()).numDeletedRows > 0n) onKeysForgotten();
  if (keys !== null) await db.insertInto('drive_keys').values(toKeyRow(driveId, keys)).execute();
}

interface Owned {
  readonly drives: number;
  readonly sizeBytes: number;
}

const NOTHING: Owned = { drives: 0, sizeBytes: 0 };

/** What a drive in this state counts for in its owner's usage: nothing once it is being destroyed. */
function owned(state: DriveState, sizeBytes: number): Owned {
  return state === 'destroying' ? NOTHING : { drives: 1, sizeBytes };
}

async function addUsage(db: Kysely<Schema>, userId: string, after: Owned, before: Owned): Promise<void> {
  const drives = after.drives - before.drives;
  const sizeBytes = after.sizeBytes - before.sizeBytes;
  if (drives === 0 && sizeBytes === 0) return;
  await db
    .updateTable('user_usage')
    .set((eb) => ({ drives: eb('drives', '+', drives), size_bytes: eb('size_bytes', '+', sizeBytes) }))
    .where('user_id', '=', userId)
    .execute();
}

async function findOwned(db: Kysely<Schema>, driveId: string): Promise<OwnedRow | null> {
  const row = await db
    .selectFrom('drives')
    .select(['user_id', 'size_bytes', 'state', 'readers', 'tags'])
    .where('drive_id', '=', driveId)
    .executeTakeFirst();
  return row ?? null;
}

async function insertCounters(db: Kysely<Schema>, { driveId, counters }: Drive): Promise<void> {
  await db
    .insertInto('drive_counters')
    .values({
      drive_id: driveId,
      read_bytes: counters.readBytes,
      read_requests: counters.readRequests,
      write_bytes: counters.writeBytes,
      write_requests: counters.writeRequests,
    })
    .execute();
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

function toKeyRow(driveId: string, keys: WrappedKeys): Selectable<Schema['drive_keys']> {
  return {
    drive_id: driveId,
    master_key_id: keys.masterKeyId,
    volume_key: keys.volumeKey,
    passphrase: keys.passphrase,
  };
}
