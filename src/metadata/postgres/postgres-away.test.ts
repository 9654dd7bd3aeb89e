import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { insertDrive, insertUser, sampleUser, SAMPLE_HASH } from '../describe-sample-rows.ts';
import type { MetadataStore } from '../metadata-store.ts';
import type { DatabaseState } from './postgres-options.ts';
import { openPostgresStore } from './postgres-store.ts';
import { usePostgres } from './scratch-database.ts';
import { startScratchProxy } from './scratch-proxy.ts';
import type { ScratchProxy } from './scratch-proxy.ts';

const TIMEOUT_MS = 2000;

const { server, newDatabase } = usePostgres();
let states: DatabaseState[] = [];
let proxy: ScratchProxy;
let store: MetadataStore;

beforeEach(async () => {
  proxy = await startScratchProxy(server());
  states = [];
  const onChange = (state: DatabaseState): void => void states.push(state);
  const database = await newDatabase();
  store = await openPostgresStore({ ...database, port: proxy.port, timeoutMs: TIMEOUT_MS, onChange });
});

afterEach(async () => {
  proxy.mode = 'pass';
  await store.close();
  await proxy[Symbol.asyncDispose]();
});

/** What comes of it, and after how long. */
async function timed(work: Promise<unknown>): Promise<{ error: unknown; ms: number }> {
  const startedAtMs = performance.now();
  const error = await work.then(
    () => null,
    (caught: unknown) => caught,
  );
  return { error, ms: performance.now() - startedAtMs };
}

describe('a database that is stopped and started', () => {
  test('is system at once to all that is asked of it, and works again by itself', async () => {
    const user = await insertUser(store);
    await server().stop('fast');
    const attempts = [
      store.users.find(user.userId),
      store.ping(),
      insertUser(store),
      store.addCounters(new Map([[user.userId, counters(1)]])),
    ];
    for (const { error, ms } of await Promise.all(attempts.map(timed))) {
      expect(error).toMatchObject({ code: 'system', message: expect.stringContaining('cannot be reached') });
      expect(ms).toBeLessThan(TIMEOUT_MS);
    }
    await server().start();
    expect(await store.users.find(user.userId)).toEqual(user);
    await insertUser(store);
    await store.ping();
    expect(states.map(({ isAway }) => isAway)).toEqual([true, false]);
  });

  test('costs who asks afterwards nothing, however many connections it took along', async () => {
    const user = await insertUser(store);
    await Promise.all(Array.from({ length: 20 }, () => store.users.find(user.userId)));
    await server().stop('immediate');
    await server().start();
    const finds = await Promise.all(Array.from({ length: 20 }, () => store.users.find(user.userId)));
    expect(finds).toEqual(Array.from({ length: 20 }, () => user));
    await expect(insertUser(store)).resolves.toMatchObject({ isAdmin: false });
  });

  test('in the middle of a transaction has made nothing of it', async () => {
    const user = sampleUser();
    const attempt = store.transaction(async (tx) => {
      await tx.users.insert(user, SAMPLE_HASH);
      await server().stop('immediate');
      await server().start();
      await tx.settings.set('after', '1');
    });
    await expect(attempt).rejects.toMatchObject({ code: 'system' });
    expect(await store.users.find(user.userId)).toBeNull();
    expect(await store.transaction((tx) => tx.settings.get('after'))).toBeNull();
  });
});

describe('a database that does not answer', () => {
  test('is system within three timeouts, also to those who wait behind others', async () => {
    const user = await insertUser(store);
    proxy.mode = 'freeze';
    const attempts = [
      ...Array.from({ length: 30 }, () => store.users.find(user.userId)),
      ...Array.from({ length: 200 }, () => insertUser(store)),
    ];
    for (const { error, ms } of await Promise.all(attempts.map(timed))) {
      expect(error).toMatchObject({ code: 'system' });
      expect(ms).toBeLessThan(3 * TIMEOUT_MS + 500);
    }
    proxy.mode = 'pass';
    expect(await store.users.find(user.userId)).toEqual(user);
    await insertUser(store);
  });

  test('does not keep the store from closing', async () => {
    proxy.mode = 'freeze';
    const { ms } = await timed(store.close());
    expect(ms).toBeLessThan(3 * TIMEOUT_MS);
  });
});

describe('a commit whose answer is lost', () => {
  test('is in doubt, and not made twice', async () => {
    proxy.mode = 'cut at commit';
    const attempt = store.transaction(async (tx) => {
      const value = Number((await tx.settings.get('sum')) ?? '0');
      await tx.settings.set('sum', String(value + 1));
    });
    await expect(attempt).rejects.toMatchObject({ code: 'system', facts: { isInDoubt: true } });
    expect(await store.transaction((tx) => tx.settings.get('sum'))).toBe('1');
  });

  test('adds no counter twice when what was refused is given again', async () => {
    const { driveId } = await insertDrive(store);
    let refused = 0;
    let given = 0;
    for (let round = 1; round <= 6; round += 1) {
      given = round;
      proxy.mode = round === 2 || round === 3 || round === 5 ? 'cut at commit' : 'pass';
      const { error } = await timed(store.addCounters(new Map([[driveId, counters(1 + refused)]])));
      refused = error === null ? 0 : refused + 1;
    }
    expect(refused).toBe(0);
    expect((await store.drives.find(driveId))?.counters).toEqual(counters(given));
  });

  test('leaves counters out that were not added, until they are given again', async () => {
    const { driveId } = await insertDrive(store);
    await server().stop('immediate');
    await expect(store.addCounters(new Map([[driveId, counters(1)]]))).rejects.toMatchObject({
      code: 'system',
    });
    await server().start();
    await store.addCounters(new Map([[driveId, counters(3)]]));
    expect((await store.drives.find(driveId))?.counters).toEqual(counters(3));
  });
});

function counters(count: number) {
  return { readBytes: 1000 * count, readRequests: count, writeBytes: 0, writeRequests: 0 };
}
