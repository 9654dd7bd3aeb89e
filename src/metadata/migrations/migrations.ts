import { Migrator } from 'kysely/migration';
import type { Migration } from 'kysely/migration';
import type { Kysely } from 'kysely';
import { DriveError } from '../../core/errors.ts';
import type { Schema } from '../schema.ts';
import { claims } from './claims.ts';
import type { ColumnTypes } from './column-types.ts';
import { directAttach } from './direct-attach.ts';
import { initialSchema } from './initial-schema.ts';
import { leftOpenDrives } from './left-open-drives.ts';
import { moveNodes } from './move-nodes.ts';
import { moves } from './moves.ts';
import { nodes } from './nodes.ts';
import { volumeNames } from './volume-names.ts';

/** Every migration there is; they run in the order of their names, each once. Never change one that was released. */
export function listMigrations(types: ColumnTypes): Readonly<Record<string, Migration>> {
  return {
    '0001-initial-schema': initialSchema(types),
    '0002-claims': claims(types),
    '0003-moves': moves(types),
    '0004-nodes': nodes(types),
    '0005-volume-names': volumeNames(types),
    '0006-direct-attach': directAttach(types),
    '0007-move-nodes': moveNodes(types),
    '0008-left-open-drives': leftOpenDrives(),
  };
}

/**
 * Brings the tables to the version that this program knows. The caller holds a transaction around it, and the lock
 * that keeps others out.
 *
 * @throws DriveError system when a newer Drivebay has written the database
 */
export async function migrate(
  db: Kysely<Schema>,
  migrations: Readonly<Record<string, Migration>>,
): Promise<void> {
  const newer = (await listApplied(db)).find((name) => !(name in migrations));
  if (newer !== undefined) {
    throw new DriveError(
      'system',
      `The metadata database was written by a newer Drivebay (its migration ${newer} is unknown here): start that ` +
        'version, or restore a backup from before the upgrade.',
      { migration: newer },
    );
  }
  const migrator = new Migrator({
    db,
    provider: { getMigrations: () => Promise.resolve(migrations) },
    disableTransactions: true,
  });
  const { error } = await migrator.migrateToLatest();
  if (error !== undefined) throw error;
}

async function listApplied(db: Kysely<Schema>): Promise<readonly string[]> {
  const tables = await db.introspection.getTables({ withInternalKyselyTables: true });
  if (!tables.some((table) => table.name === 'kysely_migration')) return [];
  const internal = db.withTables<{ kysely_migration: { name: string } }>();
  const applied = await internal.selectFrom('kysely_migration').select('name').orderBy('name').execute();
  return applied.map((row) => row.name);
}
