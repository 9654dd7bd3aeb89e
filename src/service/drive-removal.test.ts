import { afterEach, beforeEach, expect, test } from 'vitest';
import { createScratchService } from '../../test/helpers/scratch-service.ts';
import type { ScratchService } from '../../test/helpers/scratch-service.ts';
import { finishRemovals } from './drive-removal.ts';

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
