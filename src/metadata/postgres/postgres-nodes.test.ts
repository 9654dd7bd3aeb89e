import { randomUUID } from 'node:crypto';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { insertDrive, insertDrives, insertUser, sampleClaim, sampleDrive } from '../describe-sample-rows.ts';
import type { MetadataStore, MetadataTransaction } from '../metadata-store.ts';
import type { PostgresOptions } from './postgres-options.ts';
import { openPostgresStore } from './postgres-store.ts';
import { usePostgres } from './scratch-database.ts';

const ROUNDS = 40;

const { newDatabase } = usePostgres();
let database: PostgresOptions;
let nodes: readonly MetadataStore[] = [];

beforeEach(async () => {
  database = await newDatabase();
  nodes = await Promise.all([openPostgresStore(database), openPostgresStore(database)]);
});

afterEach(async () => {
  await Promise.all(nodes.map((node) => node.close()));
});

function first(): MetadataStore {
  const [node] = nodes;
  if (node === undefined) throw new Error('There is no store outside of a test.');
  return node;
}

/** The same transaction many times, on all nodes at once. */
async function race<Result>(work: (tx: MetadataTransaction) => Promise<Result>): Promise<Result[]> {
  const rounds = Array.from({ length: ROUNDS }, () => nodes.map((node) => node.transaction(work)));
  return await Promise.all(rounds.flat());
}

test('an exclusive drive that two nodes claim at once goes to one server', async () => {
  const { driveId } = await insertDrive(first());
  const winners = await race(async (tx) => {
    if ((await tx.claims.list([driveId])).length > 0) return null;
    const epoch = await tx.claims.nextEpoch(driveId);
    const claim = sampleClaim(driveId, { epoch });
    await tx.claims.put(claim);
    return claim.serverId;
  });
  const [winner, ...others] = winners.filter((each) => each !== null);
  expect(others).toEqual([]);
  for (const node of nodes) {
    expect((await node.claims.list([driveId])).map(({ serverId }) => serverId)).toEqual([winner]);
  }
});

test('epochs that two nodes take are never the same, and grow in the order of the commits', async () => {
  const { driveId } = await insertDrive(first());
  const epochs = await race((tx) => tx.claims.nextEpoch(driveId));
  expect(epochs.toSorted((one, other) => one - other)).toEqual(epochs.map((_, index) => index + 1));
});

test('an imaging that two nodes lease at once goes to one of them', async () => {
  const user = await insertUser(first());
  const drives = Array.from({ length: 10 }, () => sampleDrive(user.userId));
  await insertDrives(first(), drives);
  for (const { driveId } of drives) {
    await first().transaction((tx) =>
      tx.imaging.insert({
        jobId: randomUUID(),
        targetDriveId: driveId,
        sourceDriveId: randomUUID(),
        conversion: 'plain',
        totalBytes: 1,
        createdAtMs: 1,
      }),
    );
  }
  const leased = await race((tx) =>
    tx.imaging.lease({ leaseOwner: randomUUID(), nowMs: 0, leaseExpiresAtMs: 10 }),
  );
  const jobIds = leased.filter((job) => job !== null).map(({ jobId }) => jobId);
  expect(jobIds).toHaveLength(10);
  expect(new Set(jobIds).size).toBe(10);
});

test('what a transaction has read stays true until it commits, whatever other nodes do', async () => {
  await race(async (tx) => {
    const sum = Number((await tx.settings.get('sum')) ?? '0');
    await tx.settings.set('sum', String(sum + 1));
  });
  expect(await first().transaction((tx) => tx.settings.get('sum'))).toBe(String(2 * ROUNDS));
});

test('a quota that two nodes use up at once is not exceeded', async () => {
  const user = await insertUser(first());
  const made = await race(async (tx) => {
    if ((await tx.users.usage(user.userId)).drives >= 7) return false;
    await tx.drives.insert(sampleDrive(user.userId), null);
    return true;
  });
  expect(made.filter(Boolean)).toHaveLength(7);
  expect((await first().users.usage(user.userId)).drives).toBe(7);
});

test('what one node has committed the other sees, however often it has looked before', async () => {
  const [one, other] = nodes as [MetadataStore, MetadataStore];
  const user = await insertUser(one);
  const drive = await insertDrive(one);
  for (let round = 0; round < 20; round += 1) {
    const claim = sampleClaim(drive.driveId, { epoch: round + 1 });
    await one.transaction(async (tx) => {
      await tx.users.update({ ...user, name: `round ${round}` });
      await tx.drives.update({ ...drive, name: `round ${round}` });
      await tx.claims.put(claim);
    });
    expect((await other.users.findWithKeyHash(user.userId))?.user.name).toBe(`round ${round}`);
    expect((await other.drives.find(drive.driveId))?.name).toBe(`round ${round}`);
    expect((await other.claims.list([drive.driveId])).at(-1)?.epoch).toBe(round + 1);
  }
});

test('counters of both nodes add up', async () => {
  const { driveId } = await insertDrive(first());
  const delta = { readBytes: 10, readRequests: 1, writeBytes: 0, writeRequests: 0 };
  for (let round = 0; round < ROUNDS; round += 1) {
    await Promise.all(nodes.map((node) => node.addCounters(new Map([[driveId, delta]]))));
  }
  expect((await first().drives.find(driveId))?.counters.readRequests).toBe(2 * ROUNDS);
});

test('a node that stops in the middle of a transaction does not keep the others from theirs for long', async () => {
  const stuck = await openPostgresStore({ ...database, timeoutMs: 500 });
  const { promise: begun, resolve: begin } = Promise.withResolvers<void>();
  const { promise: held, resolve: letGo } = Promise.withResolvers<void>();
  const stopped = stuck.transaction(async (tx) => {
    await tx.settings.set('half', '1');
    begin();
    await held;
    await tx.settings.set('whole', '1');
  });
  stopped.catch(() => undefined);
  await begun;
  await expect(first().transaction((tx) => tx.settings.get('half'))).resolves.toBeNull();
  letGo();
  await expect(stopped).rejects.toMatchObject({ code: 'system' });
  await stuck.close();
});
