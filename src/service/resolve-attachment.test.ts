import { afterEach, beforeEach, expect, test } from 'vitest';
import { createScratchService } from '../../test/helpers/scratch-service.ts';
import type { ScratchService } from '../../test/helpers/scratch-service.ts';
import type { Drive } from '../core/drive.ts';
import type { User } from '../core/user.ts';
import { isClaimCurrent, resolveAttachment } from './resolve-attachment.ts';

const A = '0000000a-0000-4000-8000-000000000000';

let scratch: ScratchService;
let owner: User;
let drive: Drive;

beforeEach(async () => {
  scratch = await createScratchService();
  owner = await scratch.addUser();
  drive = await scratch.addDrive(owner);
});

afterEach(() => scratch[Symbol.asyncDispose]());

async function claimSecret(leaseSeconds?: number): Promise<string> {
  const info = await scratch.service.claims.claim(owner, drive.driveId, { serverId: A, leaseSeconds });
  return String(info['attach:tcp']).split('/').at(-1) ?? '';
}

test('a secret resolves to its claim and drive, and any other word to nothing', async () => {
  const secret = await claimSecret();
  expect(await resolveAttachment(scratch.context, secret)).toMatchObject({
    claim: { driveId: drive.driveId, serverId: A, epoch: 1 },
    drive,
  });
  for (const word of ['', 'x', secret.toUpperCase(), drive.driveId, '0'.repeat(64), 'é'.repeat(4000)]) {
    expect(await resolveAttachment(scratch.context, word)).toBeNull();
  }
});

test('a secret resolves to nothing from the end of its lease on, swept or not', async () => {
  const secret = await claimSecret(1);
  scratch.clock.nowMs += 999;
  expect(await resolveAttachment(scratch.context, secret)).not.toBeNull();
  scratch.clock.nowMs += 1;
  expect(await resolveAttachment(scratch.context, secret)).toBeNull();
});

test('a secret resolves to nothing once its drive is being destroyed', async () => {
  const secret = await claimSecret();
  const { metadata } = scratch.context;
  await metadata.transaction((tx) => tx.drives.update({ ...drive, state: 'destroying' }));
  expect(await resolveAttachment(scratch.context, secret)).toBeNull();
});

test('a drive whose pool is away is system, and only to who has the secret', async () => {
  const secret = await claimSecret();
  scratch.pool.isActive = false;
  await expect(resolveAttachment(scratch.context, secret)).rejects.toMatchObject({ code: 'system' });
  expect(await resolveAttachment(scratch.context, 'guess')).toBeNull();
});

test('a secret that opens nothing costs the same lookups as one that does', async () => {
  const secret = await claimSecret();
  const { metadata } = scratch.context;
  const lookups: string[] = [];
  const counted = {
    ...scratch.context,
    metadata: {
      ...metadata,
      claims: {
        ...metadata.claims,
        findBySecretHash: (secretHash: Uint8Array) => {
          lookups.push(`claim by ${secretHash.length} bytes`);
          return metadata.claims.findBySecretHash(secretHash);
        },
      },
      drives: {
        ...metadata.drives,
        find: (driveId: string) => {
          lookups.push('drive');
          return metadata.drives.find(driveId);
        },
      },
    },
  };
  await resolveAttachment(counted, secret);
  const right = lookups.splice(0);
  await resolveAttachment(counted, 'guess');
  expect(lookups).toEqual(right);
  expect(right).toEqual(['claim by 32 bytes', 'drive']);
});

test('a claim is current until it is replaced, released or has run out', async () => {
  const current = (epoch: number) =>
    isClaimCurrent(scratch.context, { driveId: drive.driveId, serverId: A, epoch });
  expect(await current(1)).toBe(false);
  await claimSecret();
  expect(await current(1)).toBe(true);
  await claimSecret(1);
  expect([await current(1), await current(2)]).toEqual([false, true]);
  scratch.clock.nowMs += 1000;
  expect(await current(2)).toBe(false);
  await claimSecret();
  await scratch.service.claims.release(owner, drive.driveId, { serverId: A });
  expect(await current(3)).toBe(false);
});
