import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Drive } from '../core/drive.ts';
import type { NodeState } from '../core/node.ts';
import { insertDrive } from '../metadata/describe-sample-rows.ts';
import type { MetadataStore } from '../metadata/metadata-store.ts';
import { openSqliteStore } from '../metadata/sqlite/sqlite-store.ts';
import { createMovingRunner, MOVING_LIMITS } from './moving-runner.ts';
import type { MovingRunner, MovingRunnerOptions } from './moving-runner.ts';

// Which moves a node takes up; what it then does with their volumes is looked at elsewhere.

const ROOM = { totalBytes: 1, freeBytes: 1 };

let directory: string;
let store: MetadataStore;
let drive: Drive;
let node: MovingRunnerOptions['node'] & { state: NodeState; isFenced: boolean };
let begun: string[];
let beforeTaken: () => Promise<void>;
let runner: MovingRunner;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'drivebay-runner-'));
  store = await openSqliteStore({ path: join(directory, 'metadata.db') });
  drive = await insertDrive(store, { poolName: 'one' });
  const takesForGone = (other: { state: NodeState }): boolean => other.state === 'gone';
  node = { nodeId: 'this', state: 'up', isFenced: false, takesForGone };
  begun = [];
  beforeTaken = () => new Promise(() => undefined);
  const described = { host: 'vm', address: 'vm:8600', version: '1.0.0', nbd: null };
  for (const nodeId of ['this', 'other']) {
    await store.transaction((tx) => tx.nodes.register({ nodeId, ...described }));
  }
  runner = createMovingRunner(options());
});

afterEach(async () => {
  await runner.stop();
  await store.close();
  await rm(directory, { recursive: true });
});

function options(): MovingRunnerOptions {
  const unused = (): never => expect.unreachable();
  return {
    metadata: store,
    node,
    poolLife: () => 0,
    pools: {
      statusOf: (name) =>
        name === 'away' ? { isActive: false, reason: 'It is away.' } : { isActive: true, room: ROOM },
      refresh: unused,
    },
    copies: {
      stretches: unused,
      sizeBytes: unused,
      make: unused,
      copy: unused,
      sync: unused,
      track: unused,
      close: unused,
    },
    volumes: { relocate: unused },
    async takeDrive(_drive, move) {
      begun.push(move.nodeId);
      await beforeTaken();
    },
    onLeft: () => undefined,
    monotonicMs: () => 0,
    reportMoved: unused,
    reportFailure: (error) => {
      throw error;
    },
    limits: { ...MOVING_LIMITS, pollMs: 20 },
  };
}

async function queue(nodeId: string, poolName = 'two'): Promise<void> {
  const { driveId } = drive;
  const move = { driveId, poolName, tier: null, totalBytes: 5, createdAtMs: 1, nodeId };
  await store.transaction((tx) => tx.moves.insert(move));
}

async function loseOther(): Promise<void> {
  await store.transaction((tx) => tx.nodes.beat('other', 'gone'));
}

async function looks(): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, 200));
}

test('a move of another node is left to it until that is gone, and then taken over', async () => {
  await queue('other');
  runner.start();
  await looks();
  expect(begun).toEqual([]);
  await loseOther();
  await expect.poll(() => begun).toEqual(['this']);
  expect((await store.moves.find(drive.driveId))?.nodeId).toBe('this');
});

test('nothing is taken over to a pool that is away, nor by a node that is being stopped or has lost touch', async () => {
  await queue('other', 'away');
  await loseOther();
  runner.start();
  await looks();
  await store.transaction(async (tx) => await tx.moves.remove(drive.driveId));
  node.state = 'draining';
  await queue('other');
  await looks();
  Object.assign(node, { state: 'up', isFenced: true });
  await looks();
  expect(begun).toEqual([]);
  node.isFenced = false;
  await expect.poll(() => begun).toEqual(['this']);
});

test('a move that another node has taken over is not gone on with', async () => {
  await queue('this');
  const { promise, resolve } = Promise.withResolvers<void>();
  const list = store.moves.listUnderWay.bind(store.moves);
  let isTaken = false;
  const moves = {
    find: store.moves.find.bind(store.moves),
    async listUnderWay(limit: number) {
      const listed = await list(limit);
      const taken = { driveId: drive.driveId, poolName: 'two', fromNodeId: 'this', nodeId: 'other' };
      isTaken ||= await store.transaction((tx) => tx.moves.take(taken));
      resolve();
      return listed;
    },
  };
  const { drives, imaging, nodes } = store;
  const transaction: MetadataStore['transaction'] = (work) => store.transaction(work);
  runner = createMovingRunner({ ...options(), metadata: { drives, imaging, nodes, moves, transaction } });
  runner.start();
  await promise;
  await looks();
  expect(begun).toEqual([]);
});

test('a move that waits for other nodes is ended at once', async () => {
  await queue('this');
  runner.start();
  await expect.poll(() => begun).toEqual(['this']);
  await store.transaction(async (tx) => await tx.moves.remove(drive.driveId));
  await runner.end(drive.driveId);
});
