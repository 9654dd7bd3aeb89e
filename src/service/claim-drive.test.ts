import { randomUUID } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { A, B, createClaimScene } from '../../test/helpers/claim-scene.ts';
import type { ScratchService } from '../../test/helpers/scratch-service.ts';
import type { Drive } from '../core/drive.ts';
import type { User } from '../core/user.ts';
import { hashSecret } from './claim-drive.ts';
import { MAX_CLAIMS } from './limits.ts';
import type { ClaimDriveInput } from './service.ts';

let scratch: ScratchService;
let owner: User;
let drive: Drive;

beforeEach(async () => {
  ({ scratch, owner, drive } = await createClaimScene());
});

afterEach(() => scratch[Symbol.asyncDispose]());

function claim(serverId: string, input: Partial<ClaimDriveInput> = {}, of = drive) {
  return scratch.service.claims.claim(owner, of.driveId, { serverId, ...input });
}

async function holders(of = drive): Promise<unknown[]> {
  return (await scratch.service.claims.list(owner, of.driveId)).map((info) => info['server']);
}

function secretOf(info: Readonly<Record<string, string | number>>): string {
  return String(info['attach:tcp']).split('/').at(-1) ?? '';
}

/** A promise that is settled by hand, to hold something up. */
function gate(): { promise: Promise<void>; open: () => void } {
  const { promise, resolve } = Promise.withResolvers<void>();
  return { promise, open: resolve };
}

describe('a claim', () => {
  test('answers with its epoch and what to connect to, and keeps of the secret only its hash', async () => {
    const info = await claim(A);
    const attach = expect.stringMatching(/^nbd:\/\/127\.0\.0\.1:10809\/[0-9a-f]{64}$/);
    expect(info).toEqual({
      drive: drive.driveId,
      server: A,
      access: 'rw',
      epoch: '1',
      'attach:tcp': attach,
    });
    const kept = await scratch.context.metadata.claims.find({ driveId: drive.driveId, serverId: A });
    expect(Buffer.from(kept?.secretHash ?? [])).toEqual(Buffer.from(hashSecret(secretOf(info))));
  });

  test('of a second server on an exclusive drive is refused, with the holder and when its lease ends', async () => {
    await claim(A);
    await expect(claim(B)).rejects.toMatchObject({
      code: 'busy',
      message: expect.stringMatching(
        new RegExp(`held by server ${A} \\(no lease: it must be released\\).*${B}`),
      ),
    });
    await scratch.service.claims.release(owner, drive.driveId, { serverId: A });
    await claim(A, { leaseSeconds: 60 });
    await expect(claim(B, { access: 'ro' })).rejects.toMatchObject({
      code: 'busy',
      message: expect.stringContaining(
        `server ${A} (its lease ends at 2026-01-01T00:01:00.000Z unless renewed)`,
      ),
      facts: { holder: [A] },
    });
    expect(await holders()).toEqual([A]);
  });

  test('of many servers on a shared drive is each its own, up to a limit', async () => {
    const shared = await scratch.addDrive(owner, { claimType: 'shared' });
    const servers = Array.from({ length: MAX_CLAIMS }, () => randomUUID());
    for (const server of servers) await claim(server, {}, shared);
    expect(await holders(shared)).toEqual(servers);
    await expect(claim(A, {}, shared)).rejects.toMatchObject({ code: 'busy' });
    expect(await claim(servers[5] ?? '', {}, shared)).toMatchObject({ epoch: String(MAX_CLAIMS + 1) });
  });

  test('again by the same server has a new epoch and secret, and the old one is dead', async () => {
    const [old, renewed] = [await claim(A, { leaseSeconds: 5 }), await claim(A, { access: 'ro' })];
    expect([old['epoch'], renewed['epoch']]).toEqual(['1', '2']);
    expect(renewed).not.toHaveProperty('expires');
    const { attachments } = scratch.service;
    expect(await attachments.resolve(secretOf(old))).toBeNull();
    expect(await attachments.resolve(secretOf(renewed))).toMatchObject({ claim: { epoch: 2, access: 'ro' } });
    expect(await holders()).toEqual([A]);
  });

  test('with takeover takes an exclusive drive from its holder, and says so in the log', async () => {
    const old = await claim(A);
    await claim(B, { takeover: true });
    expect(await holders()).toEqual([B]);
    expect(await scratch.service.attachments.resolve(secretOf(old))).toBeNull();
    const common = { actor: owner.userId, drive: drive.driveId };
    expect(scratch.events).toEqual([
      { event: 'claim', ...common, server: A, epoch: 1 },
      { event: 'takeover', ...common, server: B, epoch: 2, previousServer: A },
    ]);
  });

  test('with takeover takes nothing from anybody when nothing has to be taken', async () => {
    const shared = await scratch.addDrive(owner, { claimType: 'shared' });
    await claim(A, {}, shared);
    await claim(B, { takeover: true }, shared);
    expect(await holders(shared)).toEqual([A, B]);
    expect(scratch.events.map(({ event }) => event)).toEqual(['claim', 'claim']);
  });

  test('is for the owner: for a reader, too, the drive is missing', async () => {
    const reader = await scratch.addUser();
    const readable = await scratch.addDrive(owner, { readers: [reader.userId], claimType: 'shared' });
    const { claims } = scratch.service;
    const input = { serverId: A, epoch: 1 };
    const attempts = [
      () => claims.claim(reader, readable.driveId, { serverId: A, access: 'ro' }),
      () => claims.release(reader, readable.driveId, input),
      () => claims.renew(reader, readable.driveId, input),
      () => claims.list(reader, readable.driveId),
    ];
    for (const attempt of attempts) await expect(attempt()).rejects.toMatchObject({ code: 'missing' });
  });

  test.each([0, -1, 1.5, 86_401, Number.NaN])(
    'with a lease of %s seconds is refused',
    async (leaseSeconds) => {
      await expect(claim(A, { leaseSeconds })).rejects.toMatchObject({ code: 'usage' });
      expect(await holders()).toEqual([]);
    },
  );

  test('of something that is no UUID is refused', async () => {
    await expect(claim('web-1')).rejects.toMatchObject({ code: 'usage' });
  });
});

describe('before a claim is answered', () => {
  test('it is committed, and then the connections that are not covered by it are cut', async () => {
    await claim(A);
    scratch.connections.open(drive.driveId, { serverId: A, epoch: 1, connections: 3, sinceMs: 0 });
    const held = gate();
    let committedAtCut: unknown[] = [];
    scratch.connections.beforeCut = async () => {
      committedAtCut = await holders();
      await held.promise;
    };
    let isAnswered = false;
    const answer = claim(B, { takeover: true }).then(() => {
      isAnswered = true;
    });
    await expect.poll(() => committedAtCut).toEqual([B]);
    expect(isAnswered).toBe(false);
    held.open();
    await answer;
    expect(scratch.connections.cuts.at(-1)).toEqual({ drive: drive.driveId, keep: [`${B} 2`] });
    expect(scratch.connections.list(drive.driveId)).toEqual([]);
    expect(scratch.events.at(-1)).toMatchObject({ event: 'cut', server: A, epoch: 1, connections: 3 });
  });

  test('the same server’s old connections are cut, and other servers’ are not', async () => {
    const shared = await scratch.addDrive(owner, { claimType: 'shared' });
    await claim(A, {}, shared);
    await claim(B, {}, shared);
    for (const [serverId, epoch] of [
      [A, 1],
      [B, 2],
    ] as const) {
      scratch.connections.open(shared.driveId, { serverId, epoch, connections: 1, sinceMs: 0 });
    }
    await claim(A, {}, shared);
    expect(scratch.connections.list(shared.driveId).map(({ serverId }) => serverId)).toEqual([B]);
  });

  test('writes that came by HTTP have ended', async () => {
    const endWrite = scratch.context.writes.begin(drive.driveId);
    let isAnswered = false;
    const answer = claim(A).then(() => {
      isAnswered = true;
    });
    await expect.poll(() => holders()).toEqual([A]);
    await expect.poll(() => scratch.connections.cuts.length).toBe(1);
    expect(isAnswered).toBe(false);
    endWrite();
    await answer;
  });

  test('an earlier claim of the drive has cut what it had to, so that none cuts a newer one', async () => {
    const held = gate();
    scratch.connections.beforeCut = () => held.promise;
    const first = claim(A);
    const second = claim(A);
    await expect.poll(() => holders()).toEqual([A]);
    held.open();
    await Promise.all([first, second]);
    expect(scratch.connections.cuts.map(({ keep }) => keep)).toEqual([[`${A} 1`], [`${A} 2`]]);
  });
});

describe('a release', () => {
  test('frees the drive and cuts the server off before it is answered', async () => {
    await claim(A);
    scratch.connections.open(drive.driveId, { serverId: A, epoch: 1, connections: 1, sinceMs: 0 });
    await scratch.service.claims.release(owner, drive.driveId, { serverId: A });
    expect(await holders()).toEqual([]);
    expect(scratch.connections.list(drive.driveId)).toEqual([]);
    expect(scratch.events.map(({ event }) => event)).toEqual(['claim', 'release', 'cut']);
    expect(await claim(B)).toMatchObject({ epoch: '2' });
  });

  test('of what is not held is a success and frees nobody else', async () => {
    await claim(B);
    await scratch.service.claims.release(owner, drive.driveId, { serverId: A });
    await scratch.service.claims.release(owner, drive.driveId, { serverId: A });
    expect(await holders()).toEqual([B]);
    expect(scratch.events.map(({ event }) => event)).toEqual(['claim']);
  });
});
