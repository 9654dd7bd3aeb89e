import type { Kysely, Selectable } from 'kysely';
import type { Claim } from '../../core/claim.ts';
import { driveMissing } from '../../core/errors.ts';
import type { ClaimWriter } from '../metadata-store.ts';
import type { Schema } from '../schema.ts';

export function createClaimWriter(db: Kysely<Schema>): ClaimWriter {
  return {
    async nextEpoch(driveId) {
      const row = await db
        .updateTable('drives')
        .set((eb) => ({ last_epoch: eb('last_epoch', '+', 1) }))
        .where('drive_id', '=', driveId)
        .returning('last_epoch')
        .executeTakeFirst();
      if (row === undefined) throw driveMissing(driveId);
      return row.last_epoch;
    },
    async put(claim) {
      const { drive_id, server_id, ...change } = toRow(claim);
      await db
        .insertInto('claims')
        .values({ drive_id, server_id, ...change })
        .onConflict((conflict) => conflict.columns(['drive_id', 'server_id']).doUpdateSet(change))
        .execute();
    },
    async setDirectEpoch(driveId, epoch) {
      const { numUpdatedRows } = await db
        .updateTable('drives')
        .set({ direct_epoch: epoch })
        .where('drive_id', '=', driveId)
        .executeTakeFirstOrThrow();
      if (numUpdatedRows === 0n) throw driveMissing(driveId);
    },
    async remove({ driveId, serverId, epoch }) {
      const { numDeletedRows } = await db
        .deleteFrom('claims')
        .where('drive_id', '=', driveId)
        .where('server_id', '=', serverId)
        .where('epoch', '=', epoch)
        .executeTakeFirstOrThrow();
      return numDeletedRows > 0n;
    },
  };
}

function toRow(claim: Claim): Selectable<Schema['claims']> {
  return {
    drive_id: claim.driveId,
    server_id: claim.serverId,
    access: claim.access,
    epoch: claim.epoch,
    secret_hash: claim.secretHash,
    claimed_at_ms: claim.claimedAtMs,
    lease_ms: claim.leaseMs,
    expires_at_ms: claim.expiresAtMs,
  };
}
