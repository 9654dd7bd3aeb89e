import { afterEach, beforeEach, expect, test } from 'vitest';
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

// The drive lies in a pool that is nobody's, and another node moves it to a pool of its own.

const A = '0000000a-0000-4000-8000-000000000000';

let scratch: ScratchService;
let context: ServiceContext;
let service: Service;
let owner: User;
let drive: Drive;

beforeEach(async () => {
  scratch = await createScratchService();
  context = { ...scratch.context, mayHaveOtherNodes: true };
  service = createService(context, createLoginThrottle({ now: context.now, sleep: () => Promise.resolve() }));
  owner = await scratch.addUser();
  drive = await scratch.addDrive(owner, { claimType: 'shared' });
});

afterEach(() => scratch[Symbol.asyncDispose]());

async function beginMove(poolName: string): Promise<void> {
  const move = { driveId: drive.driveId, poolName, tier: null, totalBytes: 1, createdAtMs: 1 };
  await context.metadata.transaction((tx) => tx.moves.insert(move));
}

/** Heeds a notice of the drive. */
async function heed(): Promise<void> {
  const node = { nodeId: 'this', host: 'this', address: 'this:8600', version: '1.0.0', nbd: null };
  await context.metadata.transaction(async (tx) => {
    await tx.nodes.register(node);
    await tx.notices.put({ noticeId: 'notice', nodeId: 'this', driveId: drive.driveId });
  });
  const keeper = createNoticeKeeper(context);
  await keeper.look();
  await keeper.stop();
}

async function write(): Promise<void> {
  const body = { lengthBytes: 0, chunks: async function* () {}, takeSocket: () => null };
  const request = { offsetBytes: 0, encoding: 'identity', sha256: null, body } as const;
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
  let isHeeded = false;
  const heeding = heed().then(() => {
    isHeeded = true;
  });
  await expect.poll(() => scratch.connections.list(drive.driveId)).toEqual([]);
  await new Promise((later) => {
    setTimeout(later, 200);
  });
  expect(isHeeded).toBe(false);
  endWrite();
  await heeding;
  expect(await context.metadata.notices.listOf('this', 9)).toEqual([]);
});

test('a server that connects under a valid claim is not served', async () => {
  await service.claims.claim(owner, drive.driveId, { serverId: A });
  const claim = await context.metadata.claims.find({ driveId: drive.driveId, serverId: A });
  if (claim === null) throw new Error('There is no claim.');
  await beginMove('elsewhere');
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
  expect(await serveConnection({ ...context, connections }, { claim, drive }, {} as never)).toBe('cut');
});
