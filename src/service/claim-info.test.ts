import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createScratchService } from '../../test/helpers/scratch-service.ts';
import type { ScratchService } from '../../test/helpers/scratch-service.ts';
import type { Drive } from '../core/drive.ts';
import type { User } from '../core/user.ts';

const A = '0000000a-0000-4000-8000-000000000000';
const B = '0000000b-0000-4000-8000-000000000000';

let scratch: ScratchService;
let owner: User;
let reader: User;
let drive: Drive;

beforeEach(async () => {
  scratch = await createScratchService();
  owner = await scratch.addUser();
  reader = await scratch.addUser();
  drive = await scratch.addDrive(owner, { claimType: 'shared', readers: [reader.userId] });
});

afterEach(() => scratch[Symbol.asyncDispose]());

/** B and then A hold the drive, A under a lease and with connections of its own and of an earlier epoch. */
async function holdTwice(): Promise<void> {
  const { claims } = scratch.service;
  await claims.claim(owner, drive.driveId, { serverId: B, access: 'ro' });
  scratch.clock.nowMs += 1500;
  await claims.claim(owner, drive.driveId, { serverId: A, leaseSeconds: 60 });
  scratch.connections.open(drive.driveId, { serverId: A, epoch: 2, connections: 4, sinceMs: 0 });
  scratch.connections.open(drive.driveId, { serverId: A, epoch: 1, connections: 1, sinceMs: 0 });
}

describe('drive info', () => {
  test('shows who holds the drive, in the order in which they came, then what images it', async () => {
    await holdTwice();
    const target = await scratch.addDrive(owner);
    const request = {
      targetDriveId: target.driveId,
      sourceDriveId: drive.driveId,
      conversion: 'plain',
    } as const;
    await scratch.service.drives.image(owner, request);
    for (const viewer of [owner, reader]) {
      const { claimed } = await scratch.service.drives.info(viewer, drive.driveId, 'brief');
      expect(claimed).toMatch(new RegExp(`^${B} ${A} imaging:[0-9a-f-]{36}$`));
    }
    const info = await scratch.service.drives.info(owner, target.driveId, 'full');
    expect(info['claim:ends']).toBe(`when imaging onto drive ${target.driveId} ends`);
    expect(info).not.toHaveProperty('claim:holders');
  });

  test('in full tells the owner since when, how, until when, connected or not, and what would free it', async () => {
    await holdTwice();
    const full = await scratch.service.drives.info(owner, drive.driveId, 'full');
    expect(Object.entries(full).filter(([key]) => key.startsWith('claim:'))).toEqual([
      ['claim:type', 'shared'],
      ['claim:holders', `${B} ${A}`],
      ['claim:access', 'ro rw'],
      ['claim:epochs', '1 2'],
      ['claim:since', '2026-01-01T00:00:00.000Z 2026-01-01T00:00:01.500Z'],
      ['claim:expires', 'never 2026-01-01T00:01:01.500Z'],
      ['claim:connections', '0 4'],
      [
        'claim:ends',
        `when server ${B} is released, and server ${A} is released or its lease ends at 2026-01-01T00:01:01.500Z`,
      ],
    ]);
  });

  test('in full tells a reader none of that, and brief tells it nobody', async () => {
    await holdTwice();
    const infos = [
      await scratch.service.drives.info(reader, drive.driveId, 'full'),
      await scratch.service.drives.info(owner, drive.driveId, 'brief'),
    ];
    for (const info of infos) {
      expect(Object.keys(info).filter((key) => /^(claim|limit):/.test(key))).toEqual(['claim:type']);
    }
  });

  test('of many drives shows each one its own holders', async () => {
    await holdTwice();
    const free = await scratch.addDrive(owner);
    const pages = scratch.service.drives.infos(owner, { scope: 'own' }, 'brief');
    const claimed = new Map<unknown, unknown>();
    for await (const page of pages) for (const info of page) claimed.set(info['drive'], info['claimed']);
    expect(claimed).toEqual(
      new Map([
        [drive.driveId, `${B} ${A}`],
        [free.driveId, undefined],
      ]),
    );
  });
});

test('the list of claims has one entry for each server, with its connections', async () => {
  await holdTwice();
  expect(await scratch.service.claims.list(owner, drive.driveId)).toEqual([
    {
      drive: drive.driveId,
      server: B,
      access: 'ro',
      epoch: '1',
      since: '2026-01-01T00:00:00.000Z',
      connections: '0',
    },
    {
      drive: drive.driveId,
      server: A,
      access: 'rw',
      epoch: '2',
      since: '2026-01-01T00:00:01.500Z',
      expires: '2026-01-01T00:01:01.500Z',
      connections: '4',
    },
  ]);
});
