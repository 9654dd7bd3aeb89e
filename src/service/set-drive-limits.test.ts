import { afterEach, beforeEach, expect, test } from 'vitest';
import { createScratchService } from '../../test/helpers/scratch-service.ts';
import type { ScratchService } from '../../test/helpers/scratch-service.ts';
import type { Drive } from '../core/drive.ts';
import type { DriveLimitsChange } from '../core/drive-limits.ts';
import type { User } from '../core/user.ts';

let scratch: ScratchService;
let owner: User;
let admin: User;
let drive: Drive;

beforeEach(async () => {
  scratch = await createScratchService();
  owner = await scratch.addUser();
  admin = await scratch.addUser({ isAdmin: true });
  drive = await scratch.addDrive(owner);
});

afterEach(() => scratch[Symbol.asyncDispose]());

function setLimits(change: DriveLimitsChange, actor = admin) {
  return scratch.service.administration.setDriveLimits(actor, drive.driveId, change);
}

test('limits are kept, shown to administrators and in full to the owner, and told to the connections', async () => {
  const shown = {
    'limit:iops': '100',
    'limit:iops:burst': '200',
    'limit:bytes': '1048576',
    'limit:bytes:burst': '4194304',
  };
  const limits = { iops: 100, iopsBurst: 200, bytesPerSecond: 2 ** 20, burstBytes: 2 ** 22 };
  expect(await setLimits(limits)).toMatchObject(shown);
  expect((await scratch.context.metadata.drives.find(drive.driveId))?.limits).toEqual(limits);
  expect(scratch.connections.limitChanges).toEqual([drive.driveId]);
  expect(await scratch.service.drives.info(owner, drive.driveId, 'full')).toMatchObject(shown);
  expect(await scratch.service.drives.info(owner, drive.driveId, 'brief')).not.toHaveProperty('limit:iops');
});

test('a limit that is removed is shown no more, and its burst goes with it', async () => {
  await setLimits({ iops: 100, iopsBurst: 200, bytesPerSecond: 5 });
  const info = await setLimits({ iops: null });
  expect(info).toMatchObject({ 'limit:bytes': '5' });
  expect(Object.keys(info).filter((key) => key.startsWith('limit:'))).toEqual(['limit:bytes']);
});

test.each([
  ['a burst without its rate', { iopsBurst: 5 }],
  ['a burst of bytes without its rate', { iops: 5, burstBytes: 5 }],
  ['a burst while its rate is removed', { bytesPerSecond: null, burstBytes: 5 }],
  ['a limit of nothing', { iops: 0 }],
] as const)('%s is refused and changes nothing', async (_what, change) => {
  await expect(setLimits(change)).rejects.toMatchObject({ code: 'usage' });
  expect((await scratch.context.metadata.drives.find(drive.driveId))?.limits).toEqual(drive.limits);
  expect(scratch.connections.limitChanges).toEqual([]);
});

test('limits are for administrators', async () => {
  await expect(setLimits({ iops: 5 }, owner)).rejects.toMatchObject({ code: 'missing' });
});

test('an owner who changes the drive leaves its limits as they are', async () => {
  await setLimits({ iops: 100 });
  await scratch.service.drives.set(owner, drive.driveId, { name: 'new' });
  expect((await scratch.context.metadata.drives.find(drive.driveId))?.limits.iops).toBe(100);
});
