import { afterEach, beforeEach, expect, test } from 'vitest';
import {
  createScratchConnections,
  createScratchService,
  scratchNode,
} from '../../test/helpers/scratch-service.ts';
import type { ScratchConnections, ScratchService } from '../../test/helpers/scratch-service.ts';
import type { Drive } from '../core/drive.ts';
import type { User } from '../core/user.ts';
import { createService } from './create-service.ts';
import { createKeyedMutex } from './keyed-mutex.ts';
import { createLoginThrottle } from './login-throttle.ts';
import { createNoticeKeeper } from './notice-keeper.ts';
import type { Service } from './service.ts';
import type { ServiceContext } from './service-context.ts';

// A pool that is nobody's: both nodes can reach it.

const A = '0000000a-0000-4000-8000-000000000000';
const B = '0000000b-0000-4000-8000-000000000000';

let scratch: ScratchService;
let other: { context: ServiceContext; connections: ScratchConnections; service: Service };
let owner: User;
let drive: Drive;

beforeEach(async () => {
  scratch = await createScratchService();
  const connections = createScratchConnections();
  const context = {
    ...scratch.context,
    node: scratchNode('other'),
    connections,
    claiming: createKeyedMutex(),
  };
  const throttle = createLoginThrottle({ now: context.now, sleep: () => Promise.resolve() });
  other = { context, connections, service: createService(context, throttle) };
  for (const nodeId of ['this', 'other']) {
    const described = { nodeId, host: nodeId, address: `${nodeId}:8600`, version: '1.0.0', nbd: null };
    await scratch.context.metadata.transaction((tx) => tx.nodes.register(described));
  }
  owner = await scratch.addUser();
  drive = await scratch.addDrive(owner);
});

afterEach(() => scratch[Symbol.asyncDispose]());

/** Heeds notices at this node until the work, which waits for it, has ended. */
async function whileHeeding<Result>(work: Promise<Result>): Promise<Result> {
  const keeper = createNoticeKeeper(scratch.context);
  const state = { hasEnded: false };
  const ended = work.finally(() => {
    state.hasEnded = true;
  });
  while (!state.hasEnded) {
    await keeper.look();
    await new Promise((resolve) => {
      setTimeout(resolve, 5);
    });
  }
  await keeper.stop();
  return await ended;
}

async function end(nodeId: string): Promise<void> {
  await scratch.context.metadata.transaction((tx) => tx.nodes.beat(nodeId, 'gone'));
}

function open(connections: ScratchConnections, serverId: string, epoch: number): void {
  connections.open(drive.driveId, { serverId, epoch, connections: 1, sinceMs: 0 });
}

test('a takeover through another node is answered once the connections here are cut', async () => {
  await whileHeeding(other.service.claims.claim(owner, drive.driveId, { serverId: A }));
  open(scratch.connections, A, 1);
  open(other.connections, A, 1);
  const { promise, resolve } = Promise.withResolvers<void>();
  scratch.connections.beforeCut = () => promise;
  const takeover = { serverId: B, takeover: true };
  let isAnswered = false;
  const answer = whileHeeding(other.service.claims.claim(owner, drive.driveId, takeover)).then((info) => {
    isAnswered = true;
    return info;
  });
  await expect.poll(() => other.connections.list(drive.driveId)).toEqual([]);
  await new Promise((later) => {
    setTimeout(later, 200);
  });
  expect(isAnswered).toBe(false);
  resolve();
  expect(await answer).toMatchObject({ epoch: '2' });
  expect(scratch.connections.list(drive.driveId)).toEqual([]);
  expect(await scratch.context.metadata.notices.listOf('this', 9)).toEqual([]);
});

test('writes by HTTP that were let through at another node are waited for', async () => {
  const endWrite = scratch.context.writes.begin(drive.driveId);
  let isAnswered = false;
  const context = { ...other.context, writes: { ...other.context.writes, quiesce: () => Promise.resolve() } };
  const throttle = createLoginThrottle({ now: context.now, sleep: () => Promise.resolve() });
  const claims = createService(context, throttle).claims;
  const answer = whileHeeding(claims.claim(owner, drive.driveId, { serverId: A })).then(() => {
    isAnswered = true;
  });
  await new Promise((later) => {
    setTimeout(later, 200);
  });
  expect(isAnswered).toBe(false);
  endWrite();
  await answer;
});

test('a connection of a newer claim than a notice tells of is not cut', async () => {
  const { metadata } = scratch.context;
  await metadata.transaction((tx) =>
    tx.notices.put({ noticeId: 'n', nodeId: 'this', driveId: drive.driveId }),
  );
  open(scratch.connections, A, 1);
  const list = metadata.claims.list.bind(metadata.claims);
  const late = {
    ...scratch.context,
    metadata: {
      ...metadata,
      claims: {
        ...metadata.claims,
        list: async (driveIds: readonly string[]) => {
          const claims = await list(driveIds);
          open(scratch.connections, B, 2);
          return claims;
        },
      },
    },
  };
  const keeper = createNoticeKeeper(late);
  await keeper.look();
  await keeper.stop();
  expect(scratch.connections.list(drive.driveId).map(({ epoch }) => epoch)).toEqual([2]);
});

test('a node that is gone is not waited for when others can reach the drive, also when it goes meanwhile', async () => {
  const claim = other.service.claims.claim(owner, drive.driveId, { serverId: A });
  await expect.poll(() => scratch.context.metadata.notices.listOf('this', 9)).toHaveLength(1);
  await end('this');
  expect(await claim).toMatchObject({ epoch: '1' });
  await other.service.claims.release(owner, drive.driveId, { serverId: A });
});

test('while the one node that can reach the drive is gone its claims stay as they are', async () => {
  await scratch.context.metadata.transaction((tx) =>
    tx.nodes.putPool({ poolName: drive.poolName, nodeId: 'this', domain: 'here' }),
  );
  await scratch.service.claims.claim(owner, drive.driveId, { serverId: A });
  await end('this');
  const takeover = other.service.claims.claim(owner, drive.driveId, { serverId: B, takeover: true });
  await expect(takeover).rejects.toMatchObject({
    code: 'system',
    message: expect.stringContaining('node this'),
  });
  expect(await other.service.claims.list(owner, drive.driveId)).toMatchObject([{ server: A }]);
});

test('a node that has started anew heeds nothing of a drive before it has reached its pool', async () => {
  const { reachedPools, metadata } = scratch.context;
  reachedPools.delete(drive.poolName);
  let isAnswered = false;
  const answer = whileHeeding(other.service.claims.claim(owner, drive.driveId, { serverId: A })).then(() => {
    isAnswered = true;
  });
  await expect.poll(() => metadata.notices.listOf('this', 9)).toHaveLength(1);
  await new Promise((later) => {
    setTimeout(later, 200);
  });
  expect(isAnswered).toBe(false);
  reachedPools.add(drive.poolName);
  await answer;
  expect(await metadata.notices.listOf('this', 9)).toEqual([]);
});

test('limits that are changed through another node are applied here', async () => {
  const admin = await scratch.addUser({ isAdmin: true });
  await other.service.administration.setDriveLimits(admin, drive.driveId, { iops: 5 });
  const keeper = createNoticeKeeper(scratch.context);
  await keeper.look();
  await keeper.stop();
  expect(scratch.connections.limitChanges).toEqual([drive.driveId]);
});
