import { randomUUID } from 'node:crypto';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createScratchService, scratchNode } from '../../test/helpers/scratch-service.ts';
import type { ScratchService } from '../../test/helpers/scratch-service.ts';
import type { Drive } from '../core/drive.ts';
import { createKeyedMutex } from './keyed-mutex.ts';
import type { ServiceContext } from './service-context.ts';
import { removeStrays } from './stray-removal.ts';

let scratch: ScratchService;
let drive: Drive;

beforeEach(async () => {
  scratch = await createScratchService();
  drive = await scratch.addDrive(await scratch.addUser());
});

afterEach(() => scratch[Symbol.asyncDispose]());

async function addStrays(poolName: string, ...volumeNames: readonly string[]): Promise<void> {
  await scratch.context.metadata.transaction(async (tx) => {
    for (const volumeName of volumeNames) await tx.strays.insert({ volumeName, poolName });
  });
}

async function strays(poolName: string): Promise<readonly string[]> {
  const { metadata } = scratch.context;
  const all = await metadata.transaction((tx) => tx.strays.list(poolName, { after: null, limit: 10 }));
  return all.map(({ volumeName }) => volumeName);
}

test('what was left behind is removed and forgotten, whatever has become of its drive', async () => {
  const [left, ofNobody] = [`${drive.driveId}.0123456789ab`, randomUUID()];
  await addStrays('default', left, ofNobody);
  await removeStrays(scratch.context, 'default');
  expect(scratch.volumeCalls.toSorted()).toEqual([`remove ${left}`, `remove ${ofNobody}`].toSorted());
  expect(await strays('default')).toEqual([]);
});

test('the volume that its drive has is never removed', async () => {
  await addStrays('default', drive.volumeName);
  await removeStrays(scratch.context, 'default');
  expect(scratch.volumeCalls).toEqual([]);
});

test('what an imaging may yet make the volume of its target waits until that has ended, and what lies in another pool does not', async () => {
  const { metadata } = scratch.context;
  const volumeName = `${drive.driveId}.0123456789ab`;
  await addStrays('default', volumeName);
  await addStrays('another', volumeName);
  const job = { jobId: 'job', targetDriveId: drive.driveId, sourceDriveId: randomUUID(), createdAtMs: 1 };
  const lease = { leaseOwner: 'node', nowMs: 1, leaseExpiresAtMs: 2 };
  await metadata.transaction((tx) => tx.imaging.insert({ ...job, conversion: 'plain', totalBytes: 1 }));
  for (const poolName of ['default', 'another']) await removeStrays(scratch.context, poolName);
  expect([await strays('default'), await strays('another')]).toEqual([[volumeName], []]);
  await metadata.transaction(async (tx) => {
    await tx.imaging.lease(lease);
    await tx.imaging.remove({ jobId: 'job', leaseOwner: 'node' });
  });
  await removeStrays(scratch.context, 'default');
  expect(await strays('default')).toEqual([]);
});

test('what another node removes at this moment is left to it, and what it has removed is not removed again', async () => {
  const { metadata } = scratch.context;
  const described = { host: 'vm', address: 'vm:8600', version: '1.0.0', nbd: null };
  await metadata.transaction(async (tx) => {
    for (const nodeId of ['this', 'other']) await tx.nodes.register({ nodeId, ...described });
  });
  const removed: string[] = [];
  const { promise: mayRemove, resolve: letRemove } = Promise.withResolvers<void>();
  const contextOf = (nodeId: string, remove: () => Promise<void>): ServiceContext => ({
    ...scratch.context,
    node: scratchNode(nodeId),
    mayHaveOtherNodes: true,
    removingStrays: createKeyedMutex(),
    volumes: { ...scratch.context.volumes, remove },
    // Nothing that it was told is of interest here.
    metadata: { ...metadata, notices: { ...metadata.notices, listOpen: () => Promise.resolve([]) } },
  });
  await addStrays('default', `${drive.driveId}.0123456789ab`);
  const slow = contextOf('other', async () => {
    removed.push('other');
    await mayRemove;
  });
  const removing = removeStrays(slow, 'default');
  await expect.poll(() => removed).toEqual(['other']);
  const late = removeStrays(
    contextOf('this', async () => void removed.push('this')),
    'default',
  );
  await new Promise((resolve) => setTimeout(resolve, 300));
  letRemove();
  await Promise.all([removing, late]);
  expect(removed).toEqual(['other']);
  expect(await strays('default')).toEqual([]);
});

test('what is removed is removed in the life of the process in which it was looked at last', async () => {
  const seen: unknown[] = [];
  await addStrays('default', `${drive.driveId}.0123456789ab`);
  const { metadata, volumes } = scratch.context;
  const transaction: typeof metadata.transaction = (work) => {
    seen.push('look');
    return metadata.transaction(work);
  };
  const context: ServiceContext = {
    ...scratch.context,
    metadata: { ...metadata, transaction },
    poolLife: () => {
      seen.push('life');
      return 7;
    },
    volumes: { ...volumes, remove: async (_volume, options) => void seen.push(options) },
  };
  await removeStrays(context, 'default');
  const removal = seen.findIndex((each) => typeof each === 'object');
  expect(seen.slice(removal - 2, removal + 1)).toEqual(['life', 'look', { isLeft: true, life: 7 }]);
});
