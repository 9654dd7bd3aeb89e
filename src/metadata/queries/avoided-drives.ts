import type { Kysely } from 'kysely';
import type { Schema } from '../schema.ts';

/** The drives that this one avoids, and those that avoid it. */
export function selectApart(db: Kysely<Schema>, driveId: string) {
  return db
    .selectFrom('avoided_drives')
    .select('avoided_id as drive_id')
    .where('drive_id', '=', driveId)
    .union(db.selectFrom('avoided_drives').select('drive_id').where('avoided_id', '=', driveId));
}

export async function insertAvoided(
  db: Kysely<Schema>,
  driveId: string,
  avoidedIds: readonly string[],
): Promise<void> {
  if (avoidedIds.length === 0) return;
  const rows = [...new Set(avoidedIds)].map((avoidedId) => ({ drive_id: driveId, avoided_id: avoidedId }));
  await db.insertInto('avoided_drives').values(rows).execute();
}
