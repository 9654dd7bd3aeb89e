import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { sampleClaim, sampleDrive, sampleKeys, sampleUser, SAMPLE_HASH } from '../describe-sample-rows.ts';
import type { DriveQuery, MetadataStore, MetadataTransaction } from '../metadata-store.ts';
import { createSqliteStore, openSqliteStore } from './sqlite-store.ts';
import { openSqliteThread } from './sqlite-thread-client.ts';
import type { SqliteThread, Statement } from './sqlite-thread-client.ts';

let directory = '';
let reader: SqliteThread | null = null;
let store: MetadataStore | null = null;
let statements: Statement[] = [];

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'drivebay-plans-'));
  const path = join(directory, 'metadata.db');
  await (await openSqliteStore({ path })).close();
  const writer = await openSqliteThread({ path, role: 'writer' });
  reader = await openSqliteThread({ path, role: 'reader' });
  store = createSqliteStore(recorded(writer), recorded(reader));
});

afterAll(async () => {
  await store?.close();
  await rm(directory, { recursive: true });
});

/** The same thread, which keeps a list of what it was asked. */
function recorded(thread: SqliteThread): SqliteThread {
  return {
    ...thread,
    run(statement, operation) {
      statements.push(statement);
      return thread.run(statement, operation);
    },
  };
}

/** How SQLite goes about everything that `work` asks of the store. */
async function plansOf(work: (opened: MetadataStore) => Promise<unknown>): Promise<string[]> {
  if (store === null || reader === null) throw new Error('There is no store outside of a test.');
  statements = [];
  await work(store);
  const queries = statements.filter(({ sql }) => /^(select|insert|update|delete)/i.test(sql));
  expect(queries.length).toBeGreaterThan(0);
  const plans: string[] = [];
  for (const { sql, parameters } of queries) {
    const plan = await reader.run({ sql: `explain query plan ${sql}`, parameters: parameters ?? [] });
    plans.push(...plan.rows.map((row) => String(row[3])));
  }
  return plans;
}

const PAGE: DriveQuery = {
  userId: null,
  readerId: null,
  tag: null,
  state: null,
  poolName: null,
  after: 'a',
  limit: 500,
};

test.each([
  ['its user', { userId: 'u' }, 'USING COVERING INDEX drives_by_user (user_id=? AND drive_id>?)'],
  ['its user and state', { userId: 'u', state: 'ready' }, 'INDEX drives_by_user (user_id=? AND drive_id>?)'],
  ['a reader', { readerId: 'u' }, 'USING COVERING INDEX drive_readers_by_user (user_id=? AND drive_id>?)'],
  ['a reader and tag', { readerId: 'u', tag: 't' }, 'INDEX drive_readers_by_user (user_id=? AND drive_id>?)'],
  ['a tag', { tag: 't' }, 'USING COVERING INDEX drive_tags_by_tag (tag=? AND drive_id>?)'],
  [
    'its user and tag',
    { userId: 'u', tag: 't' },
    'INDEX drive_tags_by_user (user_id=? AND tag=? AND drive_id>?)',
  ],
  ['its state', { state: 'creating' }, 'USING COVERING INDEX drives_unsettled (state=? AND drive_id>?)'],
  ['its pool', { poolName: 'p' }, 'USING COVERING INDEX drives_by_pool (pool_name=? AND drive_id>?)'],
  ['nothing', {}, 'USING PRIMARY KEY (drive_id>?)'],
] as const)(
  'a page of drives by %s is one query that reads an index in order',
  async (_what, filter, index) => {
    const plans = await plansOf((opened) => opened.drives.list({ ...PAGE, ...filter }));
    expect(statements).toHaveLength(1);
    expect(plans[0]).toContain(index);
    expect(slowSteps(plans)).toEqual([]);
  },
);

test('drives are found by many UUIDs in one query, in order by an index', async () => {
  const plans = await plansOf((opened) => opened.drives.findMany(['d', 'e', 'f']));
  expect(statements).toHaveLength(1);
  expect(slowSteps(plans)).toEqual([]);
});

test('what runs on every request searches by an index', async () => {
  const plans = await plansOf(async (opened) => {
    await opened.users.findWithKeyHash('u');
    await opened.users.usage('u');
    await opened.drives.find('d');
    await opened.drives.findKeys('d');
    await opened.drives.findIdempotent({ userId: 'u', idempotencyKey: 'k', nowMs: 1 });
    await opened.imaging.findByTarget('d');
    await opened.imaging.listTouching(['d']);
    await opened.imaging.listTouching(['d', 'e', 'f']);
    await opened.claims.find({ driveId: 'd', serverId: 's' });
    await opened.moves.list(['d']);
    await opened.moves.list(['d', 'e', 'f']);
  });
  // Only the few jobs that were found are put in order.
  expect(new Set(slowSteps(plans))).toEqual(new Set(['USE TEMP B-TREE FOR ORDER BY']));
});

test('claims are found by their secret and listed in order by an index', async () => {
  const plans = await plansOf(async (opened) => {
    await opened.claims.findBySecretHash(SAMPLE_HASH);
    await opened.claims.list(['d']);
    await opened.claims.list(['d', 'e', 'f']);
    await opened.claims.listExpired({ nowMs: 1, limit: 10 });
    await opened.claims.listLeftOpen(10);
  });
  expect(plans).toEqual([
    expect.stringContaining('claims_by_secret (secret_hash=?)'),
    expect.stringContaining('claims_by_epoch (drive_id=?)'),
    expect.stringContaining('claims_by_epoch (drive_id=?)'),
    expect.stringContaining('claims_by_expiry (expires_at_ms<?)'),
    expect.stringContaining('drives_by_direct_epoch'),
    expect.stringContaining('SUBQUERY'),
    expect.stringContaining('claims_by_epoch (drive_id=? AND epoch=?)'),
  ]);
});

test('every change searches by an index', async () => {
  const plans = await plansOf((opened) => opened.transaction(changeEverything));
  expect(slowSteps(plans)).toEqual([]);
});

test('a look at the usage of pools reads an index alone', async () => {
  const plans = await plansOf((opened) => opened.drives.usageByPool());
  expect(plans).toEqual(['SCAN drives USING COVERING INDEX drives_by_pool']);
});

test('the next job to lease is found in the order of the queue', async () => {
  const lease = { leaseOwner: 'a', nowMs: 1, leaseExpiresAtMs: 2 };
  const plans = await plansOf((opened) => opened.transaction((tx) => tx.imaging.lease(lease)));
  expect(plans.filter((plan) => plan.includes('TEMP'))).toEqual([]);
});

async function changeEverything(tx: MetadataTransaction): Promise<void> {
  const user = sampleUser();
  const drive = sampleDrive(user.userId, { tags: ['a'], readers: [user.userId] });
  const entry = { userId: user.userId, idempotencyKey: 'k', bodyHash: SAMPLE_HASH, driveId: drive.driveId };
  await tx.users.insert(user, SAMPLE_HASH);
  await tx.users.update(user);
  await tx.users.updateKeyHash(user.userId, SAMPLE_HASH);
  await tx.drives.insert(drive, sampleKeys(1));
  await tx.drives.update({ ...drive, state: 'destroying', tags: [], readers: [] });
  await tx.drives.updateKeys(drive.driveId, null);
  await tx.drives.insertIdempotent({ ...entry, expiresAtMs: 1 });
  await tx.drives.removeExpiredIdempotent(1);
  await tx.imaging.progress({
    jobId: 'j',
    leaseOwner: 'a',
    leaseExpiresAtMs: 1,
    checkpointBytes: null,
    doneBytes: 1,
    totalBytes: 1,
  });
  await tx.imaging.unlease({ jobId: 'j', leaseOwner: 'a' });
  await tx.imaging.remove({ jobId: 'j', leaseOwner: 'a' });
  await tx.claims.put(sampleClaim(drive.driveId, { epoch: await tx.claims.nextEpoch(drive.driveId) }));
  await tx.claims.remove({ driveId: drive.driveId, serverId: 's', epoch: 1 });
  await tx.drives.insertAvoided(drive.driveId, [drive.driveId]);
  const move = { driveId: drive.driveId, poolName: 'p', totalBytes: 1 };
  await tx.moves.insert({ ...move, tier: null, createdAtMs: 1, nodeId: 'n' });
  await tx.moves.progress({ ...move, nodeId: 'n', state: 'copying', error: null, doneBytes: 1 });
  await tx.moves.take({ ...move, fromNodeId: 'n', nodeId: 'm' });
  await tx.moves.take({ ...move, fromNodeId: null, nodeId: 'm' });
  await tx.moves.remove(drive.driveId);
  const stray = { volumeName: drive.volumeName, poolName: 'p' };
  await tx.strays.insert(stray);
  await tx.strays.has(stray);
  await tx.strays.list('p', { after: 'a', limit: 1 });
  await tx.strays.remove(stray);
  await tx.drives.remove(drive.driveId);
}

/** The steps of the plans that scan or sort. */
function slowSteps(plans: readonly string[]): readonly string[] {
  return plans.filter((plan) => /SCAN|TEMP B-TREE/.test(plan));
}
