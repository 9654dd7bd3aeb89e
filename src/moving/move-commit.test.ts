import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Drive } from '../core/drive.ts';
import { DriveError } from '../core/errors.ts';
import { insertDrive } from '../metadata/describe-sample-rows.ts';
import type { MetadataStore } from '../metadata/metadata-store.ts';
import { openSqliteStore } from '../metadata/sqlite/sqlite-store.ts';
import { commitMove } from './move-commit.ts';
import type { OwnMove } from './move-taking.ts';

const NEVER = new AbortController().signal;

let directory: string;
let store: MetadataStore;
let drive: Drive;
let move: OwnMove;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'drivebay-moving-'));
  store = await openSqliteStore({ path: join(directory, 'metadata.db') });
  drive = await insertDrive(store, { poolName: 'one', name: 'kept' });
  const { driveId } = drive;
  const queued = { driveId, poolName: 'two', tier: null, totalBytes: 5, createdAtMs: 1, nodeId: 'this' };
  await store.transaction((tx) => tx.moves.insert(queued));
  move = { ...queued, state: 'copying', error: null, doneBytes: 5 };
});

afterEach(async () => {
  await store.close();
  await rm(directory, { recursive: true });
});

async function strays(poolName: string): Promise<readonly string[]> {
  const volumes = await store.transaction((tx) => tx.strays.list(poolName, { after: null, limit: 10 }));
  return volumes.map(({ volumeName }) => volumeName);
}

test('gives the drive its new pool, ends the move, and remembers what is left behind, all at once', async () => {
  expect(await commitMove(store, move, NEVER)).toBe('moved');
  expect(await store.drives.find(drive.driveId)).toEqual({ ...drive, poolName: 'two' });
  expect(await store.moves.find(drive.driveId)).toBeNull();
  expect([await strays('one'), await strays('two')]).toEqual([[drive.driveId], []]);
});

test('gives the drive the tier that was asked for with the move', async () => {
  await store.transaction(async (tx) => {
    await tx.moves.remove(drive.driveId);
    await tx.moves.insert({ ...move, tier: 'ssd' });
  });
  expect(await commitMove(store, move, NEVER)).toBe('moved');
  expect(await store.drives.find(drive.driveId)).toEqual({ ...drive, poolName: 'two', tier: 'ssd' });
});

test('changes nothing once the move was cancelled, or cancelled and begun anew to another pool', async () => {
  await store.transaction((tx) => tx.moves.remove(drive.driveId));
  expect(await commitMove(store, move, NEVER)).toBe('gone');
  await store.transaction((tx) => tx.moves.insert({ ...move, poolName: 'three' }));
  expect(await commitMove(store, move, NEVER)).toBe('gone');
  expect((await store.drives.find(drive.driveId))?.poolName).toBe('one');
});

test('changes nothing once another node has taken the move over', async () => {
  const taken = { driveId: drive.driveId, poolName: 'two', fromNodeId: 'this', nodeId: 'other' };
  await store.transaction((tx) => tx.moves.take(taken));
  expect(await commitMove(store, move, NEVER)).toBe('gone');
  expect((await store.drives.find(drive.driveId))?.poolName).toBe('one');
  expect(await strays('one')).toEqual([]);
  expect(await commitMove(store, { ...move, nodeId: 'other' }, NEVER)).toBe('moved');
});

test('waits while an imaging reads the drive where it is', async () => {
  const target = await insertDrive(store);
  const job = { targetDriveId: target.driveId, sourceDriveId: drive.driveId, createdAtMs: 1 };
  await store.transaction((tx) =>
    tx.imaging.insert({ ...job, jobId: randomUUID(), conversion: 'plain', totalBytes: 1 }),
  );
  expect(await commitMove(store, move, NEVER)).toBe('imaging');
  expect((await store.drives.find(drive.driveId))?.poolName).toBe('one');
});

test.each([
  ['was made', true],
  ['was not made', false],
])('a commit of unknown outcome is asked for until it is known: one that %s', async (_what, isMade) => {
  const doubt = new DriveError('system', 'The database went away.', { isInDoubt: true });
  let calls = 0;
  const shaky: Pick<MetadataStore, 'drives' | 'imaging' | 'moves' | 'nodes' | 'transaction'> = {
    drives: store.drives,
    imaging: store.imaging,
    moves: store.moves,
    nodes: store.nodes,
    async transaction(work) {
      calls += 1;
      if (calls === 1) {
        if (isMade) await store.transaction(work);
        throw doubt;
      }
      if (calls === 2) throw new DriveError('system', 'The database is away.');
      return await store.transaction(work);
    },
  };
  const outcome = await commitMove(shaky, move, NEVER).catch((error: unknown) => error);
  expect(outcome).toBe(isMade ? 'moved' : doubt);
  expect(calls).toBe(3);
});
