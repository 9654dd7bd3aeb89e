import { afterEach, beforeEach, expect, test } from 'vitest';
import { createScratchService } from '../../test/helpers/scratch-service.ts';
import type { ScratchService } from '../../test/helpers/scratch-service.ts';
import { finishRemovals } from './drive-removal.ts';
import { CREATE_MS } from './limits.ts';

let scratch: ScratchService;

beforeEach(async () => {
  scratch = await createScratchService();
});

afterEach(() => scratch[Symbol.asyncDispose]());

test('drives that were left half made or half destroyed are removed, and no others', async () => {
  const owner = await scratch.addUser();
  const [made, destroyed, ready, underWay] = await Promise.all(
    (['creating', 'destroying', 'ready', 'creating'] as const).map((state) =>
      scratch.addDrive(owner, { state }),
    ),
  );
  scratch.context.creating.add(underWay?.driveId ?? '');
  await finishRemovals(scratch.context, 'default');
  const { drives } = scratch.context.metadata;
  for (const drive of [made, destroyed]) expect(await drives.find(drive?.driveId ?? '')).toBeNull();
  for (const drive of [ready, underWay]) expect(await drives.find(drive?.driveId ?? '')).toEqual(drive);
});

test('a drive whose create ended after it was found half made is left alone', async () => {
  const owner = await scratch.addUser();
  const drive = await scratch.addDrive(owner, { state: 'creating' });
  const { drives } = scratch.context.metadata;
  const list = drives.list.bind(drives);
  drives.list = async (query) => {
    const page = await list(query);
    await scratch.context.metadata.transaction((tx) => tx.drives.update({ ...drive, state: 'ready' }));
    return page;
  };
  await finishRemovals(scratch.context, 'default');
  expect(await drives.find(drive.driveId)).toMatchObject({ state: 'ready' });
  expect(scratch.volumeCalls).toEqual([]);
});

test('a drive that another node may be making is left alone until it has taken too long', async () => {
  const { metadata, now, poolOwners } = scratch.context;
  const owner = await scratch.addUser();
  const drive = await scratch.addDrive(owner, { state: 'creating', createdAtMs: now() });
  const own = await scratch.addDrive(owner, { state: 'creating', createdAtMs: now(), poolName: 'own' });
  for (const nodeId of ['this', 'other']) {
    const described = { nodeId, host: nodeId, address: 'a:1', version: '1.0.0', nbd: null };
    await metadata.transaction((tx) => tx.nodes.register(described));
  }
  await metadata.transaction((tx) => tx.nodes.putPool({ poolName: 'own', nodeId: 'this', domain: 'd' }));
  await poolOwners.refresh();
  await finishRemovals(scratch.context, 'default');
  await finishRemovals(scratch.context, 'own');
  expect(await metadata.drives.find(own.driveId)).toBeNull();
  scratch.clock.nowMs += CREATE_MS;
  await finishRemovals(scratch.context, 'default');
  expect(await metadata.drives.find(drive.driveId)).toEqual(drive);
  scratch.clock.nowMs += 1;
  await finishRemovals(scratch.context, 'default');
  expect(await metadata.drives.find(drive.driveId)).toBeNull();
});

test('a drive that cannot be removed keeps no other from it, unless the pool has gone away', async () => {
  const owner = await scratch.addUser();
  const drives = [
    await scratch.addDrive(owner, { state: 'destroying' }),
    await scratch.addDrive(owner, { state: 'destroying' }),
  ].toSorted((one, other) => (one.driveId < other.driveId ? -1 : 1));
  const [first, second] = drives.map(({ driveId }) => driveId);
  const failures: string[] = [];
  const context = {
    ...scratch.context,
    volumes: {
      ...scratch.context.volumes,
      remove: ({ volumeName }: { volumeName: string }) =>
        volumeName === first ? Promise.reject(new Error('Somebody has it open.')) : Promise.resolve(),
    },
    reportFailure: (error: unknown, doing: string) => void failures.push(`${String(error)} ${doing}`),
  };
  scratch.pool.isActive = false;
  await expect(finishRemovals(context, 'default')).rejects.toThrow('open');
  expect(await scratch.context.metadata.drives.find(second ?? '')).not.toBeNull();
  scratch.pool.isActive = true;
  await finishRemovals(context, 'default');
  expect(await scratch.context.metadata.drives.find(second ?? '')).toBeNull();
  expect(await scratch.context.metadata.drives.find(first ?? '')).not.toBeNull();
  expect(failures).toEqual([`Error: Somebody has it open. removing the volume of destroyed drive ${first}`]);
});
