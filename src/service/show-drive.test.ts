import { afterEach, beforeEach, expect, test } from 'vitest';
import { createScratchService } from '../../test/helpers/scratch-service.ts';
import type { ScratchService } from '../../test/helpers/scratch-service.ts';
import type { User } from '../core/user.ts';
import { createLoginThrottle } from './login-throttle.ts';
import { createService } from './create-service.ts';
import type { Service } from './service.ts';

const LEASE = { leaseOwner: 'this', nowMs: 0, leaseExpiresAtMs: 1_000 };

let scratch: ScratchService;

beforeEach(async () => {
  scratch = await createScratchService();
});

afterEach(() => scratch[Symbol.asyncDispose]());

/** A drive that is being imaged. */
async function startImaging(owner: User): Promise<string> {
  const [target, source] = [await scratch.addDrive(owner), await scratch.addDrive(owner)];
  const request = {
    targetDriveId: target.driveId,
    sourceDriveId: source.driveId,
    conversion: 'plain',
  } as const;
  await scratch.context.metadata.transaction(async (tx) => {
    await tx.imaging.insert({ ...request, jobId: 'job', totalBytes: 1, createdAtMs: 0 });
    await tx.imaging.lease(LEASE);
  });
  return target.driveId;
}

async function failImaging(driveId: string): Promise<void> {
  await scratch.context.metadata.transaction(async (tx) => {
    if (!(await tx.imaging.remove({ jobId: 'job', leaseOwner: LEASE.leaseOwner }))) return;
    const drive = await tx.drives.find(driveId);
    if (drive !== null) await tx.drives.update({ ...drive, imagingError: 'The source is no gzip.' });
  });
}

/** A service for which the imaging fails between its first look at the metadata and the next. */
function serviceThatLooksAtTheEnd(driveId: string): Service {
  const { context } = scratch;
  const { metadata } = context;
  const thenFails = async <Result>(look: Promise<Result>): Promise<Result> => {
    const result = await look;
    await failImaging(driveId);
    return result;
  };
  const looking = {
    ...metadata,
    drives: { ...metadata.drives, find: (id: string) => thenFails(metadata.drives.find(id)) },
    imaging: {
      ...metadata.imaging,
      listTouching: (ids: readonly string[]) => thenFails(metadata.imaging.listTouching(ids)),
    },
  };
  const throttle = createLoginThrottle({ now: context.now, sleep: () => Promise.resolve() });
  return createService({ ...context, metadata: looking }, throttle);
}

test.each(['owner', 'administrator'])(
  'an imaging that fails while its drive is looked at by its %s is shown as running or failed, never as neither',
  async (viewer) => {
    const owner = await scratch.addUser({ isAdmin: true });
    const driveId = await startImaging(owner);
    const { drives, administration } = serviceThatLooksAtTheEnd(driveId);
    const info =
      viewer === 'owner'
        ? await drives.info(owner, driveId, 'full')
        : await administration.driveInfo(owner, driveId);
    expect(Object.keys(info).filter((key) => key.startsWith('imaging'))).not.toEqual([]);
    expect((await drives.info(owner, driveId, 'full'))['imaging:error']).toBe('The source is no gzip.');
  },
);
