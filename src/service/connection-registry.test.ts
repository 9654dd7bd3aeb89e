import { expect, test } from 'vitest';
import { NO_LIMITS } from '../core/drive-limits.ts';
import type { DriveLimits } from '../core/drive-limits.ts';
import { NO_STATS, StatsWriter } from '../data-workers/connection-stats.ts';
import type { ConnectionStats } from '../data-workers/connection-stats.ts';
import { RateLimit } from '../data-workers/rate-limit.ts';
import type { AttachedConnection } from '../data-workers/volumes.ts';
import { ConnectionRegistry } from './connection-registry.ts';
import type { RegisteredConnection } from './connections.ts';

const DRIVE = 'drive';
const ONE = { driveId: DRIVE, poolName: 'fast', serverId: 'one', epoch: 1 };
const OTHER = { driveId: DRIVE, poolName: 'fast', serverId: 'other', epoch: 2 };

function scratchRegistry(limitsOf = (): Promise<DriveLimits | null> => Promise.resolve(NO_LIMITS)) {
  const counted: [string, ConnectionStats][] = [];
  const failures: string[] = [];
  const registry = new ConnectionRegistry({
    limitsOf,
    count: (driveId, done) => counted.push([driveId, done]),
    now: () => 1000,
    reportFailure: (_, doing) => failures.push(doing),
  });
  return { registry, counted, failures };
}

/** A connection that ends when it is told to. */
function attach(registered: RegisteredConnection): { detached: () => number; end: () => void } {
  let count = 0;
  const ended = Promise.withResolvers<string>();
  const connection: AttachedConnection = {
    ended: ended.promise,
    async detach() {
      count += 1;
      await ended.promise;
    },
  };
  registered.attached(connection);
  return {
    detached: () => count,
    end() {
      ended.resolve('cut');
      registered.close();
    },
  };
}

async function isSettled(work: Promise<unknown>): Promise<boolean> {
  let settled = false;
  void work.then(() => (settled = true));
  await new Promise((resolve) => setImmediate(resolve));
  return settled;
}

test('a pool is cut without the others, whichever drives its connections are of', async () => {
  const { registry } = scratchRegistry();
  const [one, other] = [ONE, { ...OTHER, driveId: 'second' }].map((owner) =>
    attach(registry.register(owner, NO_LIMITS)),
  );
  const far = attach(registry.register({ ...ONE, driveId: 'third', poolName: 'far' }, NO_LIMITS));
  const cut = registry.cutPool('fast');
  expect([one?.detached(), other?.detached(), far.detached()]).toEqual([1, 1, 0]);
  for (const each of [one, other]) each?.end();
  await cut;
  expect(registry.count).toBe(1);
});

test('a cut returns once the connection has ended', async () => {
  const { registry } = scratchRegistry();
  const connection = attach(registry.register(ONE, NO_LIMITS));
  const cut = registry.cut(DRIVE, []);
  expect([connection.detached(), await isSettled(cut)]).toEqual([1, false]);
  connection.end();
  await cut;
  expect([registry.count, registry.list(DRIVE)]).toEqual([0, []]);
});

test('a connection that is cut before it is attached is told so, and the cut waits for it', async () => {
  const { registry } = scratchRegistry();
  const registered = registry.register(ONE, NO_LIMITS);
  expect(registered.isCut).toBe(false);
  const cut = registry.cut(DRIVE, []);
  expect([registered.isCut, await isSettled(cut)]).toEqual([true, false]);
  registered.close();
  await cut;
});

test('only connections of a kept server and epoch are kept, and later ones are not touched', async () => {
  const { registry } = scratchRegistry();
  const kept = registry.register(OTHER, NO_LIMITS);
  const older = registry.register({ ...OTHER, epoch: 1 }, NO_LIMITS);
  const elsewhere = registry.register({ ...ONE, driveId: 'elsewhere' }, NO_LIMITS);
  const cut = registry.cut(DRIVE, [OTHER]);
  const later = registry.register(ONE, NO_LIMITS);
  older.close();
  await cut;
  expect([kept, older, elsewhere, later].map(({ isCut }) => isCut)).toEqual([false, true, false, false]);
  expect(registry.list(DRIVE)).toEqual([
    { serverId: 'other', epoch: 2, connections: 1, sinceMs: 1000 },
    { serverId: 'one', epoch: 1, connections: 1, sinceMs: 1000 },
  ]);
});

test('a connection that cannot be cut in order is waited for, and the failure is reported', async () => {
  const { registry, failures } = scratchRegistry();
  const registered = registry.register(ONE, NO_LIMITS);
  registered.attached({ ended: Promise.resolve(''), detach: () => Promise.reject(new Error('no')) });
  const cut = registry.cut(DRIVE, []);
  expect(await isSettled(cut)).toBe(false);
  registered.close();
  await cut;
  expect(failures).toEqual(['cutting a connection of drive drive']);
});

test('once everything is cut, what connects is cut from the beginning', async () => {
  const { registry } = scratchRegistry();
  const connection = attach(registry.register(ONE, NO_LIMITS));
  const cut = registry.cutAll();
  expect(registry.register(ONE, NO_LIMITS).isCut).toBe(true);
  connection.end();
  await cut;
});

test('each byte, request and second is counted once, also what came just before the end', () => {
  const { registry, counted } = scratchRegistry();
  const registered = registry.register(ONE, NO_LIMITS);
  const writer = new StatsWriter(registered.stats);
  writer.count(0, 10, 0.5);
  registry.collect();
  registry.collect();
  writer.count(1, 5, 0);
  writer.count(2, 0, 0.25);
  registered.close();
  registry.collect();
  expect(counted).toEqual([
    [DRIVE, { ...NO_STATS, read: expect.objectContaining({ bytes: 10, requests: 1, seconds: 0.5 }) }],
    [
      DRIVE,
      {
        ...NO_STATS,
        write: expect.objectContaining({ bytes: 5, requests: 1, seconds: 0 }),
        flush: expect.objectContaining({ bytes: 0, requests: 1, seconds: 0.25 }),
      },
    ],
  ]);
  expect(registry.total()).toMatchObject({ read: { bytes: 10 }, write: { bytes: 5 } });
});

test('connections are counted by drive until they have ended', () => {
  const { registry } = scratchRegistry();
  const [one] = [ONE, OTHER, { ...ONE, driveId: 'elsewhere' }].map((owner) =>
    registry.register(owner, NO_LIMITS),
  );
  expect(registry.countByDrive()).toEqual(
    new Map([
      [DRIVE, 2],
      ['elsewhere', 1],
    ]),
  );
  one?.close();
  registry.register({ ...ONE, driveId: 'left' }, NO_LIMITS).close();
  expect(registry.countByDrive()).toEqual(
    new Map([
      [DRIVE, 1],
      ['elsewhere', 1],
    ]),
  );
});

test('limits that changed hold for connections that are there, whatever a new one was told before', async () => {
  let limits: DriveLimits = NO_LIMITS;
  const { registry } = scratchRegistry(() => Promise.resolve(limits));
  const first = registry.register(ONE, NO_LIMITS);
  const budget = new RateLimit(first.limit, () => 1e15);
  limits = { ...NO_LIMITS, iops: 1 };
  registry.limitsChanged(DRIVE);
  expect(registry.register(ONE, NO_LIMITS).limit).toBe(first.limit);
  await new Promise((resolve) => setImmediate(resolve));
  expect([budget.take(1), budget.take(1) > 0]).toEqual([0, true]);
});

test('connecting anew does not fill a budget that has been spent', () => {
  const limits = { ...NO_LIMITS, iops: 1 };
  const { registry } = scratchRegistry(() => Promise.resolve(limits));
  const first = registry.register(ONE, limits);
  expect(new RateLimit(first.limit, () => 1e15).take(1)).toBe(0);
  first.close();
  const second = registry.register(ONE, limits);
  expect(new RateLimit(second.limit, () => 1e15).take(1)).toBeGreaterThan(0);
});
