import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { NO_DIGEST } from '../core/body-digest.ts';
import { A, B, createClaimScene } from '../../test/helpers/claim-scene.ts';
import type { ScratchService } from '../../test/helpers/scratch-service.ts';
import type { Drive } from '../core/drive.ts';
import type { User } from '../core/user.ts';
import { createClaimSweeper } from './claim-sweeper.ts';
import { LEFT_OPEN_MS } from './limits.ts';
import type { ClaimDriveInput, Info } from './service.ts';

let scratch: ScratchService;
let owner: User;
let drive: Drive;

beforeEach(async () => {
  ({ scratch, owner, drive } = await createClaimScene());
  scratch.direct.isPossible = true;
});

afterEach(() => scratch[Symbol.asyncDispose]());

async function claim(serverId: string, input: Partial<ClaimDriveInput> = {}): Promise<Info> {
  const asked = { serverId, protocol: 'rbd', ...input } as const;
  return await scratch.service.claims.claim(owner, drive.driveId, asked);
}

async function release(serverId: string): Promise<void> {
  await scratch.service.claims.release(owner, drive.driveId, { serverId });
}

async function write(): Promise<void> {
  const body = { lengthBytes: 1, chunks: async function* () {}, takeSocket: () => null };
  const request = { offsetBytes: 0, encoding: 'identity', digest: NO_DIGEST, body } as const;
  await scratch.service.driveData.write(owner, drive.driveId, request);
}

function names(): readonly string[] {
  return [...scratch.direct.names];
}

async function directEpoch(): Promise<number | null | undefined> {
  return (await scratch.context.metadata.drives.find(drive.driveId))?.directEpoch;
}

describe('a claim by rbd', () => {
  test('says where the image is, and nothing of NBD', async () => {
    expect(await claim(A, { leaseSeconds: 60 })).toEqual({
      drive: drive.driveId,
      server: A,
      access: 'rw',
      epoch: '1',
      expires: '2026-01-01T00:01:00.000Z',
      protocol: 'rbd',
      'rbd:pool': 'drives',
      'rbd:namespace': '',
      'rbd:image': 'image-1',
      'rbd:monitors': '',
    });
    expect(names()).toEqual([`${drive.driveId} 1`]);
  });

  test('is told from others in the list and in full info', async () => {
    await claim(A);
    expect(await scratch.service.claims.list(owner, drive.driveId)).toMatchObject([{ protocol: 'rbd' }]);
    expect(await scratch.service.drives.info(owner, drive.driveId, 'full')).toMatchObject({ 'claim:rbd': A });
    await claim(A, { protocol: 'nbd' });
    const [listed] = await scratch.service.claims.list(owner, drive.driveId);
    expect(listed).not.toHaveProperty('protocol');
  });

  test('is refused where the drive is not in Ceph, is shared, or is on its way to another pool', async () => {
    scratch.direct.isPossible = false;
    await expect(claim(A)).rejects.toMatchObject({ code: 'usage' });
    scratch.direct.isPossible = true;
    await scratch.service.drives.set(owner, drive.driveId, { claimType: 'shared' });
    await expect(claim(A)).rejects.toMatchObject({ code: 'usage' });
    await scratch.service.drives.set(owner, drive.driveId, { claimType: 'exclusive' });
    const move = { poolName: 'other', tier: null, totalBytes: 1, createdAtMs: 1, nodeId: 'this' };
    await scratch.context.metadata.transaction((tx) => tx.moves.insert({ ...move, driveId: drive.driveId }));
    await expect(claim(A)).rejects.toMatchObject({ code: 'busy' });
    expect([names(), await scratch.service.claims.list(owner, drive.driveId)]).toEqual([[], []]);
  });

  test('that was ended while it began leaves no name, and says so', async () => {
    scratch.direct.beforeAnswer = async () => {
      scratch.direct.beforeAnswer = () => Promise.resolve();
      await release(A);
    };
    await expect(claim(A)).rejects.toMatchObject({ code: 'busy', facts: { epoch: 1 } });
    expect([names(), await directEpoch()]).toEqual([[], null]);
  });
});

describe('the end of a claim by rbd', () => {
  test.each([
    ['its release', () => release(A)],
    ['a takeover by rbd', () => claim(B, { takeover: true })],
    ['a takeover by NBD', () => claim(B, { takeover: true, protocol: 'nbd' })],
    ['another claim of the same server', () => claim(A)],
  ])('by %s keeps out who has the drive open, but no node', async (_, end) => {
    await claim(A);
    expect(scratch.direct.open(drive.driveId, 1, 'machine')).toBe(true);
    await end();
    expect(scratch.direct.keptOut).toEqual(['machine']);
    expect(scratch.direct.reclaimed).toEqual([drive.driveId]);
    expect(names()).not.toContain(`${drive.driveId} 1`);
    expect(scratch.direct.open(drive.driveId, 1, 'machine again')).toBe(false);
  });

  test('is answered only when nobody has the drive open any more', async () => {
    await claim(A);
    scratch.direct.open(drive.driveId, 1, 'first');
    const { promise: held, resolve: letGo } = Promise.withResolvers<void>();
    scratch.direct.beforeAnswer = () => held;
    let isAnswered = false;
    const ended = release(A).then(() => {
      isAnswered = true;
    });
    await expect.poll(names).toEqual([]);
    expect(isAnswered).toBe(false);
    letGo();
    await ended;
    expect(scratch.direct.keptOut).toEqual(['first']);
  });

  test('by its lease keeps out before a write by HTTP', async () => {
    await claim(A, { leaseSeconds: 1 });
    scratch.direct.open(drive.driveId, 1, 'machine');
    await expect(write()).rejects.toMatchObject({ code: 'busy' });
    scratch.clock.nowMs += 1000;
    await write();
    expect(scratch.direct.keptOut).toEqual(['machine']);
  });

  test('that could not be carried through is made up for by the next write, claim or destroy', async () => {
    const destroy = () => scratch.service.drives.destroy(owner, drive.driveId);
    for (const next of [write, () => claim(B, { protocol: 'nbd' }), destroy]) {
      const { epoch } = await claim(A, { takeover: true });
      scratch.direct.open(drive.driveId, Number(epoch), `machine ${epoch}`);
      scratch.direct.failure = new Error('The cluster is away.');
      await expect(release(A)).rejects.toThrow('away');
      expect(await directEpoch()).toBe(Number(epoch));
      scratch.direct.failure = null;
      await next();
      expect(scratch.direct.keptOut).toContain(`machine ${epoch}`);
      expect((await directEpoch()) ?? null).toBeNull();
    }
  });

  test('that could not be carried through is made up for after a time also when nobody asks', async () => {
    const { clock, context, direct, pool } = scratch;
    const sweeper = createClaimSweeper({
      ...context,
      randomBytes: (lengthBytes) => new Uint8Array(lengthBytes),
    });
    await claim(A);
    direct.open(drive.driveId, 1, 'machine');
    direct.failure = new Error('The cluster is away.');
    await expect(release(A)).rejects.toThrow('away');
    direct.failure = null;
    await sweeper.sweep();
    clock.nowMs += LEFT_OPEN_MS - 1;
    await sweeper.sweep();
    pool.isActive = false;
    clock.nowMs += 1;
    await sweeper.sweep();
    pool.isActive = true;
    clock.nowMs += LEFT_OPEN_MS - 1;
    await sweeper.sweep();
    expect(direct.keptOut).toEqual([]);
    clock.nowMs += 1;
    await sweeper.sweep();
    await sweeper.stop();
    expect([direct.keptOut, await directEpoch()]).toEqual([['machine'], null]);
  });

  test('leaves the next holder alone when another node has carried it through already', async () => {
    await claim(A);
    scratch.direct.open(drive.driveId, 1, 'old machine');
    // This node has looked who has the drive open; meanwhile the other one has ended it all, and begun anew.
    scratch.direct.beforeAnswer = async () => {
      scratch.direct.beforeAnswer = () => Promise.resolve();
      await scratch.context.metadata.transaction((tx) => tx.claims.setDirectEpoch(drive.driveId, 2));
    };
    await release(A);
    expect([scratch.direct.keptOut, scratch.direct.reclaimed]).toEqual([[], []]);
    expect(await directEpoch()).toBe(2);
  });

  test('fails, with a sentence, when somebody opens the drive again and again', async () => {
    await claim(A);
    scratch.direct.beforeAnswer = () => {
      scratch.direct.names.add(`${drive.driveId} 1`);
      scratch.direct.open(drive.driveId, 1, `machine ${scratch.direct.keptOut.length}`);
      return Promise.resolve();
    };
    await expect(release(A)).rejects.toThrow('again and again');
  });
});
