import type { Kysely } from 'kysely';
import { DriveError } from '../../core/errors.ts';
import type { DriveReader, DriveWriter } from '../metadata-store.ts';
import type { Schema } from '../schema.ts';

export function createIdempotencyReader(db: Kysely<Schema>): Pick<DriveReader, 'findIdempotent'> {
  return {
    async findIdempotent({ userId, idempotencyKey, nowMs }) {
      const row = await db
        .selectFrom('idempotency_keys')
        .select(['drive_id', 'body_hash'])
        .where('user_id', '=', userId)
        .where('idempotency_key', '=', idempotencyKey)
        .where('expires_at_ms', '>', nowMs)
        .executeTakeFirst();
      return row === undefined ? null : { driveId: row.drive_id, bodyHash: row.body_hash };
    },
  };
}

export function createIdempotencyWriter(
  db: Kysely<Schema>,
): Pick<DriveWriter, 'insertIdempotent' | 'removeExpiredIdempotent'> {
  return {
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
