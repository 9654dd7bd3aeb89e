import { afterEach, beforeEach, expect, test } from 'vitest';
import { A, createClaimScene } from '../../test/helpers/claim-scene.ts';
import type { ScratchService } from '../../test/helpers/scratch-service.ts';
import type { Drive } from '../core/drive.ts';
import { DriveError } from '../core/errors.ts';
import type { User } from '../core/user.ts';
import { createClaimSweeper } from './claim-sweeper.ts';

let scratch: ScratchService;
let owner: User;
let drive: Drive;

beforeEach(async () => {
  ({ scratch, owner, drive } = await createClaimScene());
  await scratch.service.claims.claim(owner, drive.driveId, { serverId: A });
  scratch.connections.open(drive.driveId, { serverId: A, epoch: 1, connections: 1, sinceMs: 0 });
});

afterEach(() => scratch[Symbol.asyncDispose]());

/** The next transactions are of unknown outcome, whether they were made or not. */
function loseSight({ wasMade, times }: { wasMade: boolean; times: number }): void {
  const { metadata } = scratch.context;
  const transaction = metadata.transaction.bind(metadata);
  let left = times;
  metadata.transaction = async (work) => {
    if (left === 0) return await transaction(work);
    left -= 1;
    if (wasMade) await transaction(work);
    throw new DriveError('system', 'It went away.', { isInDoubt: true });
  };
}

test('a server whose claim a change of unknown outcome has ended is cut off soon after', async () => {
  loseSight({ wasMade: true, times: 3 });
  const release = scratch.service.claims.release(owner, drive.driveId, { serverId: A });
  await expect(release).rejects.toMatchObject({ code: 'system' });
  expect(scratch.connections.list(drive.driveId)).toHaveLength(1);
  const failures: unknown[] = [];
  const context = { ...scratch.context, reportFailure: (error: unknown) => void failures.push(error) };
  const sweeper = createClaimSweeper(context);
  await expect.poll(() => sweeper.sweep().then(() => scratch.connections.list(drive.driveId))).toEqual([]);
  await sweeper.stop();
  expect(failures).toHaveLength(2);
  expect(scratch.context.doubtfulClaims.size).toBe(0);
});

test('a server whose claim such a change has not ended stays connected', async () => {
  loseSight({ wasMade: false, times: 1 });
  const release = scratch.service.claims.release(owner, drive.driveId, { serverId: A });
  await expect(release).rejects.toMatchObject({ code: 'system' });
  const sweeper = createClaimSweeper(scratch.context);
  await sweeper.sweep();
  await sweeper.stop();
  expect(scratch.connections.list(drive.driveId)).toHaveLength(1);
  expect(scratch.context.doubtfulClaims.size).toBe(0);
});
