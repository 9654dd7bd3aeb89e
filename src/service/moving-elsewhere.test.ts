import { afterEach, beforeEach, expect, test } from 'vitest';
import { NO_DIGEST } from '../core/body-digest.ts';
import { registerNodes } from '../../test/helpers/sample-nodes.ts';
import { createScratchService } from '../../test/helpers/scratch-service.ts';
import type { ScratchService } from '../../test/helpers/scratch-service.ts';
import type { Drive } from '../core/drive.ts';
import type { User } from '../core/user.ts';
import { createService } from './create-service.ts';
import { createLoginThrottle } from './login-throttle.ts';
import { exportKey } from './manage-keys.ts';
import { createNoticeKeeper } from './notice-keeper.ts';
import { serveConnection } from './serve-connection.ts';
import type { Service } from './service.ts';
import type { ServiceContext } from './service-context.ts';

// The drive lies in a pool that is nobody's, and another node moves it to a pool of its own, `elsewhere`, or to a second one that is
// nobody's, `second`.

const A = '0000000a-0000-4000-8000-000000000000';

let scratch: ScratchService;
let context: ServiceContext;
let service: Service;
let owner: User;
let drive: Drive;
let ended: string[];

beforeEach(async () => {
  scratch = await createScratchService();
  ended = [];
  const moves = { ...scratch.context.moves, end: async (driveId: string) => void ended.push(driveId) };
  context = { ...scratch.context, moves, mayHaveOtherNodes: true };
  context.reachedPools.add('second');
  await context.metadata.transaction(async (tx) => {
    await registerNodes(tx, ['this', 'other']);
    // So nobody waits until it heeds anything.
    await tx.nodes.beat('other', 'gone');
    await tx.nodes.putPool({ poolName: 'elsewhere', nodeId: 'other', domain: 'there' });
  });
  await context.poolOwners.refresh();
  service = createService(context, createLoginThrottle({ now: context.now, sleep: () => Promise.resolve() }));
  owner = await scratch.addUser();
  drive = await scratch.addDrive(owner, { claimType: 'shared' });
});

afterEach(() => scratch[Symbol.asyncDispose]());

async function beginMove(poolName: string, nodeId: string | null = null): Promise<void> {
  const move = { driveId: drive.driveId, poolName, tier: null, totalBytes: 1, createdAtMs: 1, nodeId };
  await context.metadata.transaction((tx) => tx.moves.insert(move));
}

/** Heeds a notice of the drive. */
async function heed(): Promise<void> {
  const notice = { noticeId: 'notice', nodeId: 'this', driveId: drive.driveId };
  await context.metadata.transaction((tx) => tx.notices.put(notice));
  await lookAgain();
}

async function lookAgain(): Promise<void> {
  const keeper = createNoticeKeeper(context);
  await keeper.look();
  await keeper.stop();
}

async function isHeeded(): Promise<boolean> {
  return (await context.metadata.notices.listOf('this', 9)).length === 0;
}

/** The end of the move, as the node that makes it commits it. */
async function commit(poolName: string): Promise<void> {
  await context.metadata.transaction(async (tx) => {
    await tx.drives.update({ ...drive, poolName });
    await tx.moves.remove(drive.driveId);
  });
}

async function write(): Promise<void> {
  const body = { lengthBytes: 0, chunks: async function* () {}, takeSocket: () => null };
  const request = { offsetBytes: 0, encoding: 'identity', digest: NO_DIGEST, body } as const;
  await service.driveData.write(owner, drive.driveId, request);
}

test('writes by HTTP are refused until the move has ended', async () => {
  await write();
  await beginMove('elsewhere');
  await expect(write()).rejects.toMatchObject({ code: 'system', facts: { pool: 'elsewhere' } });
  await context.metadata.transaction((tx) => tx.moves.remove(drive.driveId));
  await write();
});

test('holes are filled no further', async () => {
  const key = { masterKeyId: 'master', volumeKey: Buffer.alloc(64), passphrase: Buffer.from('secret') };
  const drives = { ...context.metadata.drives, findKeys: () => Promise.resolve(key) };
  const volumes = {
    ...context.volumes,
    fillHoles: async () => {
      await beginMove('elsewhere');
      return 1;
    },
  };
  const filling = { ...context, volumes, metadata: { ...context.metadata, drives } };
  const request = { fillHoles: true, signal: new AbortController().signal };
  await expect(exportKey(filling, drive.driveId, request)).rejects.toMatchObject({
    code: 'system',
    facts: { pool: 'elsewhere' },
  });
});

test('a move to a pool of this node keeps nothing from it', async () => {
  await beginMove('default');
  await write();
  scratch.connections.open(drive.driveId, { serverId: A, epoch: 1, connections: 1, sinceMs: 0 });
  await service.claims.claim(owner, drive.driveId, { serverId: A });
  await heed();
  expect(scratch.connections.list(drive.driveId)).toHaveLength(1);
});

test('servers are cut whose claim goes on, and what was let through before is waited for', async () => {
  await service.claims.claim(owner, drive.driveId, { serverId: A });
  scratch.connections.open(drive.driveId, { serverId: A, epoch: 1, connections: 1, sinceMs: 0 });
  await beginMove('elsewhere');
  const endWrite = context.writes.begin(drive.driveId);
  let isDone = false;
  const heeding = heed().then(() => {
    isDone = true;
  });
  await expect.poll(() => scratch.connections.list(drive.driveId)).toEqual([]);
  await new Promise((later) => {
    setTimeout(later, 200);
  });
  expect(isDone).toBe(false);
  endWrite();
  await heeding;
  expect(await isHeeded()).toBe(true);
});

/** Has a server connect whose claim, and where its drive is, were looked up before `meanwhile`. */
async function connect(meanwhile: () => Promise<void>): Promise<string> {
  await service.claims.claim(owner, drive.driveId, { serverId: A });
  const claim = await context.metadata.claims.find({ driveId: drive.driveId, serverId: A });
  if (claim === null) throw new Error('There is no claim.');
  await meanwhile();
  const connections = {
    ...scratch.connections,
    register: () => ({
      limit: new SharedArrayBuffer(8),
      stats: new SharedArrayBuffer(8),
      isCut: false,
      attached: () => expect.unreachable(),
      close: () => undefined,
    }),
  };
  return await serveConnection({ ...context, connections }, { claim, drive }, {} as never);
}

test('a server that connects under a valid claim is not served', async () => {
  expect(await connect(() => beginMove('elsewhere'))).toBe('cut');
});

test('a server that shakes hands from before a move to after it is not served where the drive was', async () => {
  const moveAway = async (): Promise<void> => {
    await beginMove('second', 'other');
    await commit('second');
  };
  expect(await connect(moveAway)).toBe('cut');
});

test('what another node moves between two pools of all nodes is changed by that one alone, which is named', async () => {
  await beginMove('second', 'other');
  await expect(write()).rejects.toThrow('by node other on other (other:8600), which alone changes it');
  scratch.connections.open(drive.driveId, { serverId: A, epoch: 1, connections: 1, sinceMs: 0 });
  await heed();
  expect(scratch.connections.list(drive.driveId)).toEqual([]);
  expect(ended).toEqual([drive.driveId]);
  expect(scratch.volumeCalls).toContain(`forget ${drive.driveId}`);
  await commit('second');
  await write();
});

test('what this node moves between two pools of all nodes it changes, and goes on with when others tell it something', async () => {
  await beginMove('second', 'this');
  await write();
  await service.claims.claim(owner, drive.driveId, { serverId: A });
  scratch.connections.open(drive.driveId, { serverId: A, epoch: 1, connections: 1, sinceMs: 0 });
  await heed();
  expect(scratch.connections.list(drive.driveId)).toHaveLength(1);
  expect(ended).toEqual([]);
  await context.metadata.transaction((tx) => tx.moves.remove(drive.driveId));
  await heed();
  expect(ended).toEqual([drive.driveId]);
});

test('a notice waits until the pool that the drive moves to has been reached, where an earlier process may be at work', async () => {
  context.reachedPools.delete('second');
  await beginMove('second', 'other');
  await heed();
  expect(await isHeeded()).toBe(false);
  context.reachedPools.add('second');
  await lookAgain();
  expect(await isHeeded()).toBe(true);
});

test('a write that looks at its drive while the move is committed is not made where the drive was', async () => {
  const { metadata, volumes } = context;
  let isBegun = false;
  const drives: typeof metadata.drives = {
    ...metadata.drives,
    async find(driveId) {
      const found = await metadata.drives.find(driveId);
      if (isBegun) await commit('second');
      return found;
    },
  };
  const receive: typeof volumes.receive = async (spec, body, place) => {
    await beginMove('second', 'other');
    isBegun = true;
    return await volumes.receive(spec, body, place);
  };
  context = { ...context, metadata: { ...metadata, drives }, volumes: { ...volumes, receive } };
  service = createService(context, createLoginThrottle({ now: context.now, sleep: () => Promise.resolve() }));
  await expect(write()).rejects.toMatchObject({ code: 'system', facts: { pool: 'second' } });
  expect(scratch.volumeCalls.filter((call) => call.startsWith('write'))).toEqual([]);
});

test('holes are filled where the drive has moved to', async () => {
  const key = { masterKeyId: 'master', volumeKey: Buffer.alloc(64), passphrase: Buffer.from('secret') };
  const drives = { ...context.metadata.drives, findKeys: () => Promise.resolve(key) };
  const filled: string[] = [];
  const volumes: typeof context.volumes = {
    ...context.volumes,
    async fillHoles({ poolName }) {
      filled.push(poolName);
      if (filled.length === 1) await commit('second');
      return 1;
    },
  };
  const filling = { ...context, volumes, metadata: { ...context.metadata, drives } };
  await exportKey(filling, drive.driveId, { fillHoles: true, signal: new AbortController().signal });
  expect([filled[0], ...new Set(filled.slice(1))]).toEqual(['default', 'second']);
});
