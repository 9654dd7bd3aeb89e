import type { Kysely, Selectable } from 'kysely';
import type { DriveReader, DriveWriter, WrappedKeys } from '../metadata-store.ts';
import type { Schema } from '../schema.ts';

const COLUMNS = ['drive_id', 'master_key_id', 'volume_key', 'passphrase'] as const;

type KeyRow = Selectable<Schema['drive_keys']>;

export function createKeyReader(db: Kysely<Schema>): Pick<DriveReader, 'findKeys'> {
  return {
    async findKeys(driveId) {
      const row = await db
        .selectFrom('drive_keys')
        .select(COLUMNS)
        .where('drive_id', '=', driveId)
        .executeTakeFirst();
      return row === undefined ? null : toKeys(row);
    },
  };
}

/** @param onKeysForgotten is called when wrapped keys were overwritten or deleted, of which no copy may remain */
export function createKeyWriter(
  db: Kysely<Schema>,
  onKeysForgotten: () => void,
): Pick<DriveWriter, 'updateKeys' | 'listKeysNotUnder'> {
  return {
    async updateKeys(driveId, keys) {
      const forgotten = db.deleteFrom('drive_keys').where('drive_id', '=', driveId);
      if ((await forgotten.executeTakeFirstOrThrow()).numDeletedRows > 0n) onKeysForgotten();
      if (keys !== null) await insertKeys(db, driveId, keys);
    },
    async listKeysNotUnder(masterKeyId, { after, limit }) {
      const rows = await db
        .selectFrom('drive_keys')
        .select(COLUMNS)
        .where('master_key_id', '<>', masterKeyId)
        .where('drive_id', '>', after ?? '')
        .orderBy('drive_id')
        .limit(limit)
        .execute();
      return rows.map((row) => ({ driveId: row.drive_id, keys: toKeys(row) }));
    },
  };
}

export async function insertKeys(db: Kysely<Schema>, driveId: string, keys: WrappedKeys): Promise<void> {
  const row: KeyRow = {
    drive_id: driveId,
    master_key_id: keys.masterKeyId,
    volume_key: keys.volumeKey,
    passphrase: keys.passphrase,
  };
  await db.insertInto('drive_keys').values(row).execute();
}

function toKeys(row: KeyRow): WrappedKeys {
  return { masterKeyId: row.master_key_id, volumeKey: row.volume_key, passphrase: row.passphrase };
}
