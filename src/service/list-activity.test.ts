import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { NO_DIGEST } from '../core/body-digest.ts';
import { createScratchService } from '../../test/helpers/scratch-service.ts';
import type { ScratchService } from '../../test/helpers/scratch-service.ts';
import type { User } from '../core/user.ts';
import { NO_ACTIVITY } from './drive-activity.ts';
import { LIST_PAGE_DRIVES } from './limits.ts';
import { readDrive } from './read-drive.ts';
import type { Info } from './service.ts';
import { writeDrive } from './write-drive.ts';

const READ = { ...NO_ACTIVITY, read: { requests: 1, bytes: 10, seconds: 0.001 } };
const OPEN = { serverId: 'server', epoch: 1, connections: 3, sinceMs: 0 };

let scratch: ScratchService;
let owner: User;
let other: User;

beforeEach(async () => {
  scratch = await createScratchService();
  owner = await scratch.addUser();
  other = await scratch.addUser();
});

afterEach(() => scratch[Symbol.asyncDispose]());

async function activityOf(user: User, all = false): Promise<Info[]> {
  const { drives, administration } = scratch.service;
  const infos: Info[] = [];
  const pages = all ? administration.activity(user) : drives.activity(user);
  for await (const page of pages) infos.push(...page);
  return infos;
}

/** Storage that takes this long for everything, by the clock of the test. */
function slowVolumes(delayMs: number): ScratchService['context']['volumes'] {
  const { volumes } = scratch.context;
  const slowly = <Arguments extends unknown[], Result>(work: (...args: Arguments) => Result) => {
    return (...args: Arguments): Result => {
      scratch.clock.nowMs += delayMs;
      return work(...args);
    };
  };
  return {
    ...volumes,
    receive: slowly(volumes.receive),
    read: slowly(volumes.read),
    write: slowly(volumes.write),
  };
}

describe('over HTTP', () => {
  test('a read and a write are counted with the time that the storage took, not that of the body', async () => {
    const drive = await scratch.addDrive(owner, { name: 'web' });
    const context = { ...scratch.context, volumes: slowVolumes(250) };
    const range = { offsetBytes: 0, lengthBytes: 500, digest: null, socket: null };
    await readDrive(context, owner, drive.driveId, range);
    await readDrive(context, owner, drive.driveId, range);
    const body = { lengthBytes: 1, async *chunks() {}, takeSocket: () => null };
    await writeDrive(context, owner, drive.driveId, {
      offsetBytes: 0,
      encoding: 'identity',
      digest: NO_DIGEST,
      body,
    });
    expect(await activityOf(owner)).toEqual([
      {
        drive: drive.driveId,
        name: 'web',
        connections: '0',
        'read:requests': '2',
        'read:bytes': '1000',
        'read:us': '500000',
        'write:requests': '1',
        'write:bytes': '1',
        'write:us': '250000',
        'flush:requests': '0',
        'flush:us': '0',
      },
    ]);
    // The counters of its info come from the same figures.
    expect(await scratch.service.drives.info(owner, drive.driveId, 'brief')).toMatchObject({
      'read:bytes': '1000',
      'read:requests': '2',
      'write:bytes': '1',
      'write:requests': '1',
    });
  });

  test('what was refused is not counted', async () => {
    const drive = await scratch.addDrive(owner, { sizeBytes: 10 });
    const range = { offsetBytes: 5, lengthBytes: 6, digest: null, socket: null };
    await expect(readDrive(scratch.context, owner, drive.driveId, range)).rejects.toThrow('past the end');
    expect(await activityOf(owner)).toEqual([]);
  });
});

describe('the list', () => {
  test('has drives with connections, used or not, and what these have done up to now', async () => {
    const [used, idle] = [await scratch.addDrive(owner), await scratch.addDrive(owner)];
    await scratch.addDrive(owner);
    scratch.connections.open(used.driveId, OPEN);
    scratch.connections.open(idle.driveId, { ...OPEN, connections: 1 });
    scratch.connections.open(idle.driveId, { ...OPEN, epoch: 2, connections: 1 });
    scratch.connections.onCollect = () => {
      const flush = { requests: 2, bytes: 0, seconds: 0.0000015 };
      scratch.context.counters.add(used.driveId, { ...READ, flush });
    };
    const infos = await activityOf(owner);
    const byDrive = new Map(infos.map((info) => [info['drive'], info]));
    expect(byDrive.size).toBe(2);
    expect(byDrive.get(used.driveId)).toMatchObject({
      connections: '3',
      'read:requests': '1',
      'read:us': '1000',
      'flush:requests': '2',
      'flush:us': '2',
    });
    expect(byDrive.get(idle.driveId)).toMatchObject({ connections: '2', 'read:requests': '0' });
  });

  test("shows users their own drives alone, also one that is another's reader", async () => {
    const drive = await scratch.addDrive(owner, { readers: [other.userId] });
    scratch.context.activity.add(drive.driveId, READ);
    expect(await activityOf(owner)).toHaveLength(1);
    expect(await activityOf(other)).toEqual([]);
  });

  test("shows administrators every user's, with the user, and is missing for anybody else", async () => {
    const admin = await scratch.addUser({ isAdmin: true });
    const drives = [await scratch.addDrive(owner), await scratch.addDrive(other)];
    for (const { driveId } of drives) scratch.context.activity.add(driveId, READ);
    const seen = (await activityOf(admin, true)).map((info) => [info['drive'], info['user']]);
    expect(seen.sort()).toEqual(drives.map(({ driveId, userId }) => [driveId, userId]).sort());
    expect(await activityOf(admin)).toEqual([]);
    await expect(activityOf(owner, true)).rejects.toMatchObject({ code: 'missing' });
  });

  test('leaves out drives that are being made or destroyed, or are gone', async () => {
    for (const state of ['creating', 'destroying'] as const) {
      scratch.context.activity.add((await scratch.addDrive(owner, { state })).driveId, READ);
    }
    scratch.context.activity.add('gone', READ);
    expect(await activityOf(owner)).toEqual([]);
  });

  test('takes one query for each page of drives', async () => {
    const count = LIST_PAGE_DRIVES + 1;
    for (let drive = 0; drive < count; drive += 1) {
      scratch.context.activity.add((await scratch.addDrive(owner)).driveId, READ);
    }
    const pages: number[] = [];
    for await (const page of scratch.service.drives.activity(owner)) pages.push(page.length);
    expect(pages).toEqual([LIST_PAGE_DRIVES, 1]);
    const ids = (await activityOf(owner)).map((info) => info['drive']);
    expect(ids).toEqual([...new Set(ids)].sort());
  });
});
