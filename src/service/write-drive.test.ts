import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { NO_DIGEST } from '../core/body-digest.ts';
import { createScratchService } from '../../test/helpers/scratch-service.ts';
import type { ScratchService } from '../../test/helpers/scratch-service.ts';
import type { Drive } from '../core/drive.ts';
import type { User } from '../core/user.ts';
import type { BegunBody, DirectWrite, Volumes } from '../data-workers/volumes.ts';
import { writeDrive } from './write-drive.ts';

const SERVER = '0000000a-0000-4000-8000-000000000000';
const BODY = { lengthBytes: 1, async *chunks() {}, takeSocket: () => null };
const REQUEST = { offsetBytes: 0, encoding: 'identity', digest: NO_DIGEST, body: BODY } as const;

let scratch: ScratchService;
let owner: User;
let drive: Drive;
/** What the thread that receives and writes is asked, and answers. */
let asked: DirectWrite[];
let taking: PromiseWithResolvers<number | BegunBody | null>;
let isGivenBack: boolean;
/** Done while the body comes the slow way. */
let whileItComes: () => Promise<void>;

const BEGUN: BegunBody = {
  segments: [],
  encryptedBytes: 0,
  receivedBytes: 0,
  release() {
    isGivenBack = true;
  },
};

beforeEach(async () => {
  scratch = await createScratchService();
  owner = await scratch.addUser();
  drive = await scratch.addDrive(owner);
  asked = [];
  taking = Promise.withResolvers();
  isGivenBack = false;
  whileItComes = () => Promise.resolve();
});

afterEach(async () => {
  vi.useRealTimers();
  await scratch[Symbol.asyncDispose]();
});

function write(): Promise<void> {
  const volumes: Volumes = {
    ...scratch.context.volumes,
    async writeAsReceived(_spec, direct) {
      asked.push(direct);
      return await taking.promise;
    },
    async receive(_spec, _body, _place, begun) {
      if (begun !== BEGUN) throw new Error('What has come already was forgotten.');
      await whileItComes();
      return begun;
    },
  };
  return writeDrive({ ...scratch.context, volumes }, owner, drive.driveId, REQUEST);
}

async function claim(): Promise<void> {
  await scratch.service.claims.claim(owner, drive.driveId, { serverId: SERVER, takeover: false });
}

async function askedFor(): Promise<DirectWrite> {
  await vi.waitFor(() => expect(asked).toHaveLength(1));
  const [direct] = asked;
  if (direct === undefined) throw new Error('Nothing was asked for.');
  return direct;
}

async function isQuiet(): Promise<boolean> {
  const quiet = scratch.context.writes.quiesce(drive.driveId).then(() => true);
  const turn = new Promise<false>((resolve) => void setImmediate(() => resolve(false)));
  return await Promise.race([quiet, turn]);
}

const writes = (): string[] => scratch.volumeCalls.filter((call) => call.startsWith('write'));

test('a claim waits for a body that its thread is to write, and what comes after the claim is refused', async () => {
  const writing = write();
  await askedFor();
  let isClaimed = false;
  const claiming = claim().then(() => (isClaimed = true));
  await vi.waitFor(async () =>
    expect(await scratch.context.metadata.claims.list([drive.driveId])).toHaveLength(1),
  );
  expect([isClaimed, await isQuiet()]).toEqual([false, false]);
  taking.resolve(1);
  await Promise.all([writing, claiming]);
  expect(await isQuiet()).toBe(true);
  await expect(write()).rejects.toMatchObject({ code: 'busy' });
  expect([asked.length, writes()]).toEqual([1, []]);
});

test('nobody waits for a body that comes slowly, and the state is looked at again when it is there', async () => {
  taking.resolve(BEGUN);
  whileItComes = claim;
  await expect(write()).rejects.toMatchObject({ code: 'busy' });
  expect([writes(), isGivenBack, await isQuiet()]).toEqual([[], true, true]);
});

test('a body that comes slowly is written when nothing has changed', async () => {
  taking.resolve(BEGUN);
  await write();
  expect([writes(), isGivenBack]).toEqual([[`write ${drive.volumeName}`], true]);
});

test('a pool that does not write what it has received is given up on, but the write stays announced', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  const writing = write();
  const refused = writing.catch((error: unknown) => error);
  while (asked.length === 0) await new Promise((resolve) => void setImmediate(resolve));
  // The client may take as long as the thread lets it.
  await vi.advanceTimersByTimeAsync(60_000);
  (await askedFor()).onReceived();
  await vi.advanceTimersByTimeAsync(29_000);
  expect(vi.getTimerCount()).toBe(1);
  await vi.advanceTimersByTimeAsync(2_000);
  expect(await refused).toMatchObject({ code: 'system' });
  expect(await isQuiet()).toBe(false);
  taking.resolve(1);
  await vi.waitFor(async () => expect(await isQuiet()).toBe(true));
});
