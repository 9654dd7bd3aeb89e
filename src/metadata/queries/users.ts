import type { Kysely, Selectable } from 'kysely';
import { DriveError } from '../../core/errors.ts';
import type { Usage, User } from '../../core/user.ts';
import type { UserReader, UserWriter } from '../metadata-store.ts';
import type { Schema } from '../schema.ts';
import { prepareQuery } from './prepared-query.ts';

const COLUMNS = [
  'user_id',
  'name',
  'is_admin',
  'is_disabled',
  'quota_drives',
  'quota_bytes',
  'created_at_ms',
] as const;

type UserRow = Pick<Selectable<Schema['users']>, (typeof COLUMNS)[number]>;

/** The queries on users that run on every request, compiled for one kind of database. */
export type UserQueries = ReturnType<typeof prepareUserQueries>;

export function prepareUserQueries(db: Kysely<Schema>) {
  return {
    findWithKeyHash: prepareQuery(({ userId }: { userId: string }) =>
      db.selectFrom('users').select(COLUMNS).select('key_hash').where('user_id', '=', userId),
    ),
    usage: prepareQuery(({ userId }: { userId: string }) =>
      db.selectFrom('user_usage').select(['drives', 'size_bytes']).where('user_id', '=', userId),
    ),
  };
}

export function createUserReader(db: Kysely<Schema>, queries: UserQueries): UserReader {
  return {
    async find(userId) {
      const { rows } = await queries.findWithKeyHash(db, { userId });
      return rows[0] === undefined ? null : toUser(rows[0]);
    },
    async findWithKeyHash(userId) {
      const { rows } = await queries.findWithKeyHash(db, { userId });
      return rows[0] === undefined ? null : { user: toUser(rows[0]), keyHash: rows[0].key_hash };
    },
    async list({ after, limit }) {
      const query = db.selectFrom('users').select(COLUMNS).orderBy('user_id').limit(limit);
      const rows = await query.where('user_id', '>', after ?? '').execute();
      return rows.map(toUser);
    },
    async usage(userId): Promise<Usage> {
      const { rows } = await queries.usage(db, { userId });
      return { drives: rows[0]?.drives ?? 0, sizeBytes: rows[0]?.size_bytes ?? 0 };
    },
  };
}

export function createUserWriter(db: Kysely<Schema>): UserWriter {
  return {
    async insert(user, keyHash) {
      const row = {
        ...toRow(user),
        user_id: user.userId,
        created_at_ms: user.createdAtMs,
        key_hash: keyHash,
      };
      await db.insertInto('users').values(row).execute();
      await db.insertInto('user_usage').values({ user_id: user.userId, drives: 0, size_bytes: 0 }).execute();
    },
    async update(user) {
      const query = db.updateTable('users').set(toRow(user)).where('user_id', '=', user.userId);
      const { numUpdatedRows } = await query.executeTakeFirstOrThrow();
      if (numUpdatedRows === 0n) throw userMissing(user.userId);
    },
    async updateKeyHash(userId, keyHash) {
      const query = db.updateTable('users').set({ key_hash: keyHash }).where('user_id', '=', userId);
      const { numUpdatedRows } = await query.executeTakeFirstOrThrow();
      if (numUpdatedRows === 0n) throw userMissing(userId);
    },
  };
}

function toUser(row: UserRow): User {
  return {
    userId: row.user_id,
    name: row.name,
    isAdmin: row.is_admin === 1,
    isDisabled: row.is_disabled === 1,
    quotaDrives: row.quota_drives,
    quotaBytes: row.quota_bytes,
    createdAtMs: row.created_at_ms,
  };
}

function toRow(user: User): Omit<UserRow, 'user_id' | 'created_at_ms'> {
  return {
    name: user.name,
    is_admin: user.isAdmin ? 1 : 0,
    is_disabled: user.isDisabled ? 1 : 0,
    quota_drives: user.quotaDrives,
    quota_bytes: user.quotaBytes,
  };
}

function userMissing(userId: string): DriveError {
  return new DriveError('missing', `User ${userId} could not be found.`, { user: userId });
}
