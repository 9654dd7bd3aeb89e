import { afterAll, beforeAll, expect, test } from 'vitest';
import { sampleClaim, sampleDrive, sampleKeys, sampleUser, SAMPLE_HASH } from '../describe-sample-rows.ts';
import type { DriveQuery, MetadataStore, MetadataTransaction } from '../metadata-store.ts';
import { openConnections } from './postgres-connections.ts';
import type { PostgresConnections, Session, Statement } from './postgres-connections.ts';
import { createPostgresStore, openPostgresStore } from './postgres-store.ts';
import { usePostgres } from './scratch-database.ts';
import { fillSql } from './scratch-rows.ts';

/** So many that PostgreSQL finds indexes worth their while. */
const DRIVES = 20_000;

const { server, newDatabase } = usePostgres();
let connections: PostgresConnections;
let store: MetadataStore;
let databaseName: string;
let statements: Statement[] = [];

beforeAll(async () => {
  const database = await newDatabase();
  databaseName = database.database;
  await (await openPostgresStore(database)).close();
  await server().query(fillSql({ drives: DRIVES }), database.database);
  await server().query('analyze', database.database);
  connections = openConnections(database);
  store = createPostgresStore(recorded(connections), database);
}, 120_000);

afterAll(async () => {
  await store.close();
});

/** The same connections, which keep a list of what they were asked. */
function recorded(asked: PostgresConnections): PostgresConnections {
  const recordedSession = (session: Session): Session => ({
    ...session,
    run(statement, timeoutMs) {
      statements.push(statement);
      return session.run(statement, timeoutMs);
    },
  });
  return {
    ...asked,
    read(statement) {
      statements.push(statement);
      return asked.read(statement);
    },
    lendWriter: async () => recordedSession(await asked.lendWriter()),
  };
}

/** How PostgreSQL goes about everything that `work` asks of the store. */
async function plansOf(work: (opened: MetadataStore) => Promise<unknown>): Promise<string[]> {
  statements = [];
  await work(store);
  const queries = statements.filter(({ sql }) => /^(select|insert|update|delete)/i.test(sql));
  expect(queries.length).toBeGreaterThan(0);
  const plans: string[] = [];
  for (const { sql, parameters } of queries) {
    const plan = await connections.read({ sql: `explain (costs off) ${sql}`, parameters: parameters ?? [] });
    plans.push(plan.rows.map((row) => String((row as Record<string, unknown>)['QUERY PLAN'])).join('\n'));
  }
  return plans;
}

const PAGE: DriveQuery = {
  userId: null,
  readerId: null,
  tag: null,
  state: null,
  poolName: null,
  after: '0',
  limit: 500,
};

test.each([
  ['its user', { userId: 'user1' }],
  ['its user and state', { userId: 'user1', state: 'ready' }],
  ['a reader', { readerId: 'user1' }],
  ['a reader and tag', { readerId: 'user1', tag: 'tag1' }],
  ['a tag', { tag: 'tag1' }],
  ['its user and tag', { userId: 'user1', tag: 'tag1' }],
  ['its state', { state: 'creating' }],
  ['its pool', { poolName: 'pool1' }],
  ['nothing', {}],
] as const)('a page of drives by %s is one query that reads no whole table', async (_what, filter) => {
  const plans = await plansOf((opened) => opened.drives.list({ ...PAGE, ...filter }));
  expect(plans).toHaveLength(1);
  expect(wholeTables(plans)).toEqual([]);
});

test('what runs on every request searches by an index', async () => {
  const plans = await plansOf(async (opened) => {
    await opened.users.findWithKeyHash('user1');
    await opened.users.usage('user1');
    await opened.users.list({ after: null, limit: 10 });
    await opened.drives.find('d');
    await opened.drives.findMany(['d', 'e', 'f']);
    await opened.drives.findKeys('d');
    await opened.drives.findIdempotent({ userId: 'user1', idempotencyKey: 'k', nowMs: 1 });
    await opened.imaging.findByTarget('d');
    await opened.imaging.listTouching(['d']);
    await opened.imaging.listTouching(['d', 'e', 'f']);
    await opened.claims.find({ driveId: 'd', serverId: 's' });
    await opened.claims.findBySecretHash(SAMPLE_HASH);
    await opened.claims.list(['d']);
    await opened.claims.list(['d', 'e', 'f']);
    await opened.claims.listExpired({ nowMs: 0, limit: 10 });
    await opened.claims.listExpired({ nowMs: 0, limit: 10, exceptPools: ['pool1', 'pool2'] });
    await opened.claims.listLeftOpen(10);
  });
  expect(wholeTables(plans)).toEqual([]);
});

test('every change searches by an index', async () => {
  const plans = await plansOf((opened) => opened.transaction(changeEverything));
  expect(wholeTables(plans)).toEqual([]);
});

test('the next job to lease is found in the order of the queue', async () => {
  const lease = { leaseOwner: 'a', nowMs: 1, leaseExpiresAtMs: 2 };
  const plans = await plansOf(async (opened) => {
    await opened.transaction((tx) => tx.imaging.lease(lease));
    await opened.transaction((tx) => tx.imaging.lease({ ...lease, exceptPools: ['pool1'] }));
  });
  expect(plans.filter((plan) => /Sort|Seq Scan/.test(plan))).toEqual([]);
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
  const job = { jobId: 'j', leaseOwner: 'a' };
  await tx.imaging.progress({
    ...job,
    leaseExpiresAtMs: 1,
    checkpointBytes: null,
    doneBytes: 1,
    totalBytes: 1,
  });
  await tx.imaging.unlease(job);
  await tx.imaging.remove(job);
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

/** The plans that read all of a table. */
function wholeTables(plans: readonly string[]): readonly string[] {
  return plans.filter((plan) => plan.includes('Seq Scan'));
}

test('a page of the drives of a user is read in order, however many the user has', async () => {
  const sql = `update drives set user_id = 'user1', state = 'ready' where abs(hashtext(drive_id)) % 10 = 0; analyze drives`;
  await server().query(sql, databaseName);
  const filter = { userId: 'user1', state: 'ready' } as const;
  const plans = await plansOf((opened) => opened.drives.list({ ...PAGE, ...filter }));
  expect(plans.filter((plan) => /Sort|Hash|Bitmap/.test(plan))).toEqual([]);
});
