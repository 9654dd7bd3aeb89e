import type { Kysely } from 'kysely';
import type { MetadataStore, MetadataTransaction } from '../metadata-store.ts';
import type { Schema } from '../schema.ts';
import { createClaimReader, prepareClaimQueries } from './claim-reader.ts';
import { createClaimWriter } from './claim-writer.ts';
import { prepareCounterQueries } from './drive-counters.ts';
import { createDriveReader, prepareDriveQueries } from './drive-reader.ts';
import { createDriveWriter, prepareDriveChangeQueries } from './drive-writer.ts';
import { createImagingReader, prepareImagingQueries } from './imaging-reader.ts';
import { createImagingWriter } from './imaging-writer.ts';
import { createMoveReader, prepareMoveQueries } from './move-reader.ts';
import { createMoveWriter } from './move-writer.ts';
import { createNodeReader, createNodeWriter } from './nodes.ts';
import type { DatabaseClock } from './nodes.ts';
import { createNoticeReader, createNoticeWriter } from './notices.ts';
import { createSettingStore } from './settings.ts';
import { createStrayVolumeStore } from './stray-volumes.ts';
import { createUserReader, createUserWriter, prepareUserQueries } from './users.ts';

/** The readers of a store. */
export type Readers = Pick<
  MetadataStore,
  'users' | 'drives' | 'imaging' | 'claims' | 'moves' | 'nodes' | 'notices'
>;

/** Every query that is compiled once, for one kind of database. */
export type StoreQueries = ReturnType<typeof prepareStoreQueries>;

export function prepareStoreQueries(db: Kysely<Schema>, clock: DatabaseClock) {
  return {
    clock,
    users: prepareUserQueries(db),
    drives: prepareDriveQueries(db),
    driveChanges: prepareDriveChangeQueries(db),
    counters: prepareCounterQueries(db),
    imaging: prepareImagingQueries(db),
    claims: prepareClaimQueries(db),
    moves: prepareMoveQueries(db),
  };
}

export function createReaders(db: Kysely<Schema>, queries: StoreQueries): Readers {
  return {
    users: createUserReader(db, queries.users),
    drives: createDriveReader(db, queries.drives),
    imaging: createImagingReader(db, queries.imaging),
    claims: createClaimReader(db, queries.claims),
    moves: createMoveReader(db, queries.moves),
    nodes: createNodeReader(db, queries.clock),
    notices: createNoticeReader(db, queries.clock),
  };
}

/** @param eraseDeleted is called when wrapped keys were overwritten or deleted, of which no copy may remain */
export function createTransaction(
  db: Kysely<Schema>,
  queries: StoreQueries,
  eraseDeleted: () => void,
): MetadataTransaction {
  const readers = createReaders(db, queries);
  return {
    users: { ...readers.users, ...createUserWriter(db) },
    drives: { ...readers.drives, ...createDriveWriter(db, queries.driveChanges, eraseDeleted) },
    imaging: { ...readers.imaging, ...createImagingWriter(db) },
    claims: { ...readers.claims, ...createClaimWriter(db) },
    moves: { ...readers.moves, ...createMoveWriter(db) },
    strays: createStrayVolumeStore(db),
    nodes: { ...readers.nodes, ...createNodeWriter(db, queries.clock) },
    notices: { ...readers.notices, ...createNoticeWriter(db) },
    settings: createSettingStore(db),
  };
}
