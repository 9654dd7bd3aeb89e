import type { Schema } from '../schema.ts';

export type TableName = keyof Schema;

/** A table as it is copied. */
export interface CopiedTable {
  readonly name: TableName;
  /** Its primary key, in whose order its rows are read. */
  readonly key: readonly string[];
  /** The column that the database numbers itself; null when there is none. */
  readonly numbered: string | null;
}

/** In such an order that a row comes after those that it refers to. */
const KEYS: Readonly<Record<TableName, readonly string[]>> = {
  users: ['user_id'],
  user_usage: ['user_id'],
  drives: ['drive_id'],
  drive_counters: ['drive_id'],
  drive_readers: ['drive_id', 'user_id'],
  drive_tags: ['drive_id', 'tag'],
  drive_keys: ['drive_id'],
  idempotency_keys: ['user_id', 'idempotency_key'],
  imaging_jobs: ['position'],
  claims: ['drive_id', 'server_id'],
  avoided_drives: ['drive_id', 'avoided_id'],
  drive_moves: ['position'],
  stray_volumes: ['pool_name', 'volume_name'],
  nodes: ['node_id'],
  pools: ['pool_name'],
  notices: ['notice_id'],
  settings: ['key'],
};

/** Every table that holds metadata; only the list of migrations, which each database keeps for itself, is not here. */
export const COPIED_TABLES: readonly CopiedTable[] = (Object.keys(KEYS) as TableName[]).map((name) => ({
  name,
  key: KEYS[name],
  numbered: name === 'imaging_jobs' || name === 'drive_moves' ? 'position' : null,
}));
