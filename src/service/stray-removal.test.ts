import { randomUUID } from 'node:crypto';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createScratchService } from '../../test/helpers/scratch-service.ts';
import type { ScratchService } from '../../test/helpers/scratch-service.ts';
import type { Drive } from '../core/drive.ts';
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
