import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Drive } from '../core/drive.ts';
import type { DriveMove } from '../core/move.ts';
import type { NodeState } from '../core/node.ts';
import { insertDrive } from '../metadata/describe-sample-rows.ts';
import type { MetadataStore } from '../metadata/metadata-store.ts';
import { openSqliteStore } from '../metadata/sqlite/sqlite-store.ts';
import { takeMove } from './move-taking.ts';

const takesForGone = ({ state }: { state: NodeState }): boolean => state === 'gone';
const SECOND = { nodeId: 'second', takesForGone };
const THIRD = { nodeId: 'third', takesForGone };

let directory: string;
let store: MetadataStore;
let drive: Drive;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'drivebay-taking-'));
  store = await openSqliteStore({ path: join(directory, 'metadata.db') });
  drive = await insertDrive(store, { poolName: 'one' });
  const described = { host: 'vm', address: 'vm:8600', version: '1.0.0', nbd: null };
  for (const nodeId of ['maker', 'second', 'third']) {
    await store.transaction((tx) => tx.nodes.register({ nodeId, ...described }));
  }
});

afterEach(async () => {
  await store.close();
  await rm(directory, { recursive: true });
});

async function queue(nodeId: string | null): Promise<DriveMove> {
  const { driveId } = drive;
  const queued = { driveId, poolName: 'two', tier: null, totalBytes: 5, createdAtMs: 1, nodeId };
  await store.transaction((tx) => tx.moves.insert(queued));
  return { ...queued, state: 'queued', error: null, doneBytes: 0 };
}

async function become(nodeId: string, state: NodeState): Promise<void> {
  await store.transaction((tx) => tx.nodes.beat(nodeId, state));
}

test.each(['draining', 'gone'] as const)(
  'a move is taken over from a node that is %s, and by no other afterwards',
  async (state) => {
    const move = await queue('maker');
    expect(await takeMove(store, move, SECOND)).toBeNull();
    await become('maker', state);
    expect(await takeMove(store, move, SECOND)).toEqual({ ...move, nodeId: 'second' });
    expect(await takeMove(store, move, THIRD)).toBeNull();
    expect((await store.moves.find(drive.driveId))?.nodeId).toBe('second');
  },
);

test.each(['maker', 'forgotten', null])(
  'of several nodes that take a move over at once from %s, one has it',
  async (from) => {
    const move = await queue(from);
    await become('maker', 'gone');
    const takers = Array.from({ length: 8 }, (_, index) => (index % 2 === 0 ? SECOND : THIRD));
    const taken = await Promise.all(takers.map(async (node) => await takeMove(store, move, node)));
    const winners = taken.filter((own) => own !== null).map(({ nodeId }) => nodeId);
    expect(winners).toHaveLength(1);
    expect((await store.moves.find(drive.driveId))?.nodeId).toBe(winners[0]);
  },
);

test('a node that may be gone keeps its move until it is known to be', async () => {
  const move = await queue('maker');
  await become('maker', 'gone');
  const unsure = { nodeId: 'second', takesForGone: () => false };
  expect(await takeMove(store, move, unsure)).toBeNull();
  expect(await takeMove(store, move, SECOND)).not.toBeNull();
});

test('a node that has come back meanwhile keeps its move, and what was cancelled or begun anew elsewhere is nobody else’s', async () => {
  const move = await queue('maker');
  await become('maker', 'gone');
  const nodes = {
    async list() {
      const seen = await store.nodes.list();
      await become('maker', 'up');
      return seen;
    },
  };
  expect(await takeMove({ ...partsOf(store), nodes }, move, SECOND)).toBeNull();
  await become('maker', 'gone');
  await store.transaction((tx) => tx.moves.remove(drive.driveId));
  expect(await takeMove(store, move, SECOND)).toBeNull();
  await store.transaction((tx) => tx.moves.insert({ ...move, poolName: 'three' }));
  expect(await takeMove(store, move, SECOND)).toBeNull();
});

function partsOf(from: MetadataStore) {
  const { drives, imaging, moves } = from;
  const transaction: MetadataStore['transaction'] = (work) => from.transaction(work);
  return { drives, imaging, moves, transaction };
}
