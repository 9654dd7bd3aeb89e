import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { NO_DIGEST } from '../core/body-digest.ts';
import { A, B } from '../../test/helpers/claim-scene.ts';
import { createScratchService } from '../../test/helpers/scratch-service.ts';
import type { ScratchService } from '../../test/helpers/scratch-service.ts';
import type { ClaimAccess } from '../core/claim.ts';
import type { ClaimType, Drive } from '../core/drive.ts';
import { MIB } from '../core/sizes.ts';
import type { User } from '../core/user.ts';
import { ALL_USERS } from '../core/uuid.ts';
import { prepareImaging } from './prepare-imaging.ts';
import type { DriveWrite } from './service.ts';

let scratch: ScratchService;
let owner: User;

beforeEach(async () => {
  scratch = await createScratchService();
  owner = await scratch.addUser();
});

afterEach(() => scratch[Symbol.asyncDispose]());

/** A drive that a server holds. */
async function held(
  claimType: ClaimType,
  {
    access = 'rw',
    leaseSeconds,
    ...change
  }: { access?: ClaimAccess; leaseSeconds?: number } & Partial<Drive> = {},
): Promise<Drive> {
  const drive = await scratch.addDrive(owner, { claimType, ...change });
  await scratch.service.claims.claim(owner, drive.driveId, { serverId: A, access, leaseSeconds });
  return drive;
}

function write(drive: Drive): Promise<void> {
  const request: DriveWrite = {
    offsetBytes: 0,
    encoding: 'identity',
    digest: NO_DIGEST,
    body: {
      lengthBytes: 1,
      chunks: async function* () {
        yield Buffer.of(1);
      },
      takeSocket: () => null,
    },
  };
  return scratch.service.driveData.write(owner, drive.driveId, request);
}

function image(target: Drive, source: Drive, actor = owner): Promise<void> {
  const request = {
    targetDriveId: target.driveId,
    sourceDriveId: source.driveId,
    conversion: 'plain',
  } as const;
  return scratch.service.drives.image(actor, request);
}

const NAMES_HOLDER = {
  code: 'busy',
  message: expect.stringContaining(`server ${A} (no lease: it must be released)`),
};

describe('while a server holds a drive', () => {
  test.each(['exclusive', 'shared'] as const)(
    'that is %s, it is neither destroyed nor imaged onto',
    async (type) => {
      const [drive, other] = [await held(type), await scratch.addDrive(owner)];
      await expect(scratch.service.drives.destroy(owner, drive.driveId)).rejects.toMatchObject(NAMES_HOLDER);
      await expect(image(drive, other)).rejects.toMatchObject(NAMES_HOLDER);
      expect(await scratch.context.metadata.imaging.list(9)).toEqual([]);
      expect(scratch.volumeCalls).toEqual([]);
    },
  );

  test('exclusively and writes to it, it is no source', async () => {
    const [source, target] = [await held('exclusive'), await scratch.addDrive(owner)];
    await expect(image(target, source)).rejects.toMatchObject(NAMES_HOLDER);
    expect(await scratch.context.metadata.imaging.list(9)).toEqual([]);
  });

  test.each([
    ['exclusive', 'ro'],
    ['shared', 'rw'],
  ] as const)('that is %s as %s, it can be a source', async (type, access) => {
    const [source, target] = [await held(type, { access }), await scratch.addDrive(owner)];
    await image(target, source);
    expect(await scratch.context.metadata.imaging.list(9)).toHaveLength(1);
  });

  test('it may grow but not shrink', async () => {
    const drive = await held('shared');
    const set = (sizeBytes: number) => scratch.service.drives.set(owner, drive.driveId, { sizeBytes });
    await expect(set(MIB)).rejects.toMatchObject(NAMES_HOLDER);
    expect(scratch.volumeCalls).toEqual([]);
    expect(await set(65 * MIB)).toMatchObject({ size: 65 * MIB, claimed: A });
    await scratch.service.claims.release(owner, drive.driveId, { serverId: A });
    expect(await set(MIB)).toMatchObject({ size: MIB });
  });

  test.each(['rw', 'ro'] as const)(
    'exclusively as %s, it is not written by HTTP but read',
    async (access) => {
      const drive = await held('exclusive', { access });
      await expect(write(drive)).rejects.toMatchObject(NAMES_HOLDER);
      const range = { offsetBytes: 0, lengthBytes: 1, digest: null, socket: null };
      await scratch.service.driveData.read(owner, drive.driveId, range);
      expect(scratch.volumeCalls).toEqual([`read ${drive.driveId}`]);
    },
  );

  test('and shares it, it is written by HTTP', async () => {
    const drive = await held('shared');
    await write(drive);
    expect(scratch.volumeCalls).toEqual([`write ${drive.driveId}`]);
  });

  test('it becomes exclusive only while no other server holds it', async () => {
    const drive = await held('shared');
    const set = (claimType: ClaimType) => scratch.service.drives.set(owner, drive.driveId, { claimType });
    await scratch.service.claims.claim(owner, drive.driveId, { serverId: B });
    await expect(set('exclusive')).rejects.toMatchObject({ code: 'busy', facts: { holder: [A, B] } });
    await set('shared');
    await scratch.service.claims.release(owner, drive.driveId, { serverId: A });
    expect(await set('exclusive')).toMatchObject({ 'claim:type': 'exclusive', claimed: B });
    await expect(write(drive)).rejects.toMatchObject({ code: 'busy' });
  });

  test('and it becomes exclusive, writes by HTTP that were let through have ended first', async () => {
    const drive = await held('shared');
    const endWrite = scratch.context.writes.begin(drive.driveId);
    let isAnswered = false;
    const answer = scratch.service.drives.set(owner, drive.driveId, { claimType: 'exclusive' }).then(() => {
      isAnswered = true;
    });
    await expect
      .poll(async () => (await scratch.context.metadata.drives.find(drive.driveId))?.claimType)
      .toBe('exclusive');
    expect(isAnswered).toBe(false);
    endWrite();
    await answer;
  });
});

describe('a claim while a drive is imaging', () => {
  test('is refused for the target, whatever its access', async () => {
    const [target, source] = [await scratch.addDrive(owner), await scratch.addDrive(owner)];
    await image(target, source);
    for (const access of ['rw', 'ro'] as const) {
      const claim = scratch.service.claims.claim(owner, target.driveId, {
        serverId: A,
        access,
        takeover: true,
      });
      await expect(claim).rejects.toMatchObject({ code: 'busy' });
    }
  });

  test('is refused for the source to write, and let through to read, or when all users may read it', async () => {
    const [source, standard] = [
      await scratch.addDrive(owner),
      await scratch.addDrive(owner, { readers: [ALL_USERS] }),
    ];
    await image(await scratch.addDrive(owner), source);
    await image(await scratch.addDrive(owner), standard);
    const claim = ({ driveId }: Drive, access: ClaimAccess) =>
      scratch.service.claims.claim(owner, driveId, { serverId: A, access });
    await expect(claim(source, 'rw')).rejects.toMatchObject({ code: 'busy' });
    await claim(source, 'ro');
    await expect(claim(source, 'rw')).rejects.toMatchObject({ code: 'busy' });
    await claim(standard, 'rw');
  });
});

describe('a lease that ran out unswept', () => {
  /** A drive whose holder's lease has run out, with a connection that is still open. */
  async function lapsed(claimType: ClaimType = 'exclusive'): Promise<Drive> {
    const drive = await held(claimType, { leaseSeconds: 1 });
    scratch.connections.open(drive.driveId, { serverId: A, epoch: 1, connections: 1, sinceMs: 0 });
    scratch.clock.nowMs += 1000;
    return drive;
  }

  test('lets the drive be destroyed, its connections cut before its volume goes', async () => {
    const drive = await lapsed();
    let volumeCallsAtCut: readonly string[] = ['none was cut'];
    scratch.connections.beforeCut = async () => {
      volumeCallsAtCut = [...scratch.volumeCalls];
    };
    await scratch.service.drives.destroy(owner, drive.driveId);
    expect(volumeCallsAtCut).toEqual([]);
    expect(scratch.volumeCalls).toEqual([`remove ${drive.driveId}`]);
    expect(scratch.connections.list(drive.driveId)).toEqual([]);
  });

  test('lets the drive be written by HTTP, its connections cut before', async () => {
    const drive = await lapsed();
    let volumeCallsAtCut: readonly string[] = ['none was cut'];
    scratch.connections.beforeCut = async () => {
      volumeCallsAtCut = [...scratch.volumeCalls];
    };
    await write(drive);
    expect([volumeCallsAtCut, scratch.volumeCalls]).toEqual([[], [`write ${drive.driveId}`]]);
    expect(scratch.connections.list(drive.driveId)).toEqual([]);
  });

  test('lets the drive shrink and become exclusive, its connections cut before', async () => {
    const drive = await lapsed('shared');
    let volumeCallsAtCut: readonly string[] = ['none was cut'];
    scratch.connections.beforeCut = async () => {
      volumeCallsAtCut = [...scratch.volumeCalls];
    };
    await scratch.service.drives.set(owner, drive.driveId, { sizeBytes: MIB });
    expect([volumeCallsAtCut, scratch.connections.list(drive.driveId)]).toEqual([[], []]);
    const other = await lapsed('shared');
    await scratch.service.drives.set(owner, other.driveId, { claimType: 'exclusive' });
    expect(scratch.connections.list(other.driveId)).toEqual([]);
  });

  test('lets the drive be imaged, the connections of both drives cut before it begins', async () => {
    const [target, source] = [await lapsed(), await lapsed()];
    await image(target, source);
    const [job] = await scratch.context.metadata.imaging.list(9);
    if (job === undefined) throw new Error('There is no job.');
    await prepareImaging(scratch.context, job);
    expect([target, source].flatMap(({ driveId }) => scratch.connections.list(driveId))).toEqual([]);
  });
});
