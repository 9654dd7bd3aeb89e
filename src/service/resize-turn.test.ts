import { afterEach, beforeEach, expect, test } from 'vitest';
import { createScratchService, scratchNode } from '../../test/helpers/scratch-service.ts';
import type { ScratchService } from '../../test/helpers/scratch-service.ts';
import type { Drive } from '../core/drive.ts';
import type { User } from '../core/user.ts';
import { createKeyedMutex } from './keyed-mutex.ts';
import type { ServiceContext } from './service-context.ts';
import { setDrive } from './set-drive.ts';

// One drive in a pool that two nodes reach, each with locks of its own.

let scratch: ScratchService;
let owner: User;
let drive: Drive;
let volumeBytes: number;
let isLet: PromiseWithResolvers<void>;
let fenced: string[];

beforeEach(async () => {
  scratch = await createScratchService();
  for (const nodeId of ['one', 'other']) await register(nodeId);
  owner = await scratch.addUser();
  drive = await scratch.addDrive(owner);
  volumeBytes = drive.sizeBytes;
  isLet = Promise.withResolvers();
  fenced = [];
});

afterEach(() => scratch[Symbol.asyncDispose]());

async function register(nodeId: string): Promise<void> {
  const described = { nodeId, host: nodeId, address: `${nodeId}:8600`, version: '1.0.0', nbd: null };
  await scratch.context.metadata.transaction((tx) => tx.nodes.register(described));
}

/** What a node works with, whose volume changes once `before` has ended. */
function contextOf(nodeId: string, before: () => Promise<void> = () => Promise.resolve()): ServiceContext {
  const { context } = scratch;
  return {
    ...context,
    node: scratchNode(nodeId),
    mayHaveOtherNodes: true,
    resizing: createKeyedMutex(),
    goneNodes: {
      ...context.goneNodes,
      fence: (poolName, nodes) => {
        fenced.push(...nodes.map((node) => `${node.nodeId} from ${poolName}`));
        return Promise.resolve();
      },
    },
    volumes: {
      ...context.volumes,
      async resize(_spec, { sizeBytes }) {
        await before();
        volumeBytes = sizeBytes;
      },
    },
  };
}

const resize = (context: ServiceContext, sizeBytes: number): Promise<unknown> =>
  setDrive(context, owner, drive.driveId, { sizeBytes });

/** Whether it has not ended after a moment that is long for work in memory. */
async function isWaiting(work: Promise<unknown>): Promise<boolean> {
  const moment = new Promise<'waiting'>((resolve) => {
    setTimeout(resolve, 200, 'waiting');
  });
  return (await Promise.race([work, moment])) === 'waiting';
}

async function sizeBytes(): Promise<number | undefined> {
  return (await scratch.context.metadata.drives.find(drive.driveId))?.sizeBytes;
}

test('a resize waits for one that another node has begun, and volume and drive end with one size', async () => {
  const first = resize(
    contextOf('one', () => isLet.promise),
    drive.sizeBytes + 2000,
  );
  expect(await isWaiting(first)).toBe(true);
  const second = resize(contextOf('other'), drive.sizeBytes + 5000);
  expect(await isWaiting(second)).toBe(true);
  expect(volumeBytes).toBe(drive.sizeBytes);
  isLet.resolve();
  await Promise.all([first, second]);
  expect([await sizeBytes(), volumeBytes]).toEqual([drive.sizeBytes + 5000, drive.sizeBytes + 5000]);
});

test('a resize of a node that is gone is not waited for, once that node is kept out of the pool', async () => {
  const lost = resize(
    contextOf('one', () => isLet.promise),
    drive.sizeBytes + 5000,
  );
  expect(await isWaiting(lost)).toBe(true);
  await scratch.context.metadata.transaction((tx) => tx.nodes.beat('one', 'gone'));
  await resize(contextOf('other'), drive.sizeBytes + 2000);
  expect(fenced).toEqual([`one from ${drive.poolName}`]);
  expect(volumeBytes).toBe(drive.sizeBytes + 2000);
  isLet.resolve();
  // It was not gone, and finds that the drive is not its to resize any more.
  await expect(lost).rejects.toMatchObject({ code: 'system' });
  expect(await sizeBytes()).toBe(drive.sizeBytes + 2000);
});

test('a resize that cannot keep a node out which is gone is refused, and leaves its turn to the next', async () => {
  await register('third');
  const lost = resize(
    contextOf('one', () => isLet.promise),
    drive.sizeBytes + 5000,
  );
  expect(await isWaiting(lost)).toBe(true);
  await scratch.context.metadata.transaction((tx) => tx.nodes.beat('one', 'gone'));
  const other = contextOf('other');
  const fence = (): Promise<never> => Promise.reject(new Error('The pool is inactive.'));
  const powerless = { ...other, goneNodes: { ...other.goneNodes, fence } };
  await expect(resize(powerless, drive.sizeBytes + 1)).rejects.toThrow('inactive');
  await resize(contextOf('third'), drive.sizeBytes + 2);
  expect(volumeBytes).toBe(drive.sizeBytes + 2);
  isLet.resolve();
  await expect(lost).rejects.toMatchObject({ code: 'system' });
});

test('a resize that failed is no obstacle to the next, nor is one of an earlier life of its node', async () => {
  const failing = contextOf('one', () => Promise.reject(new Error('The disk is broken.')));
  await expect(resize(failing, drive.sizeBytes + 1)).rejects.toThrow('broken');
  await resize(contextOf('other'), drive.sizeBytes + 2);
  const lost = resize(
    contextOf('one', () => isLet.promise),
    drive.sizeBytes + 5000,
  );
  expect(await isWaiting(lost)).toBe(true);
  await register('one');
  await resize(contextOf('other'), drive.sizeBytes + 3);
  expect(fenced).toEqual([]);
  isLet.resolve();
  await expect(lost).rejects.toMatchObject({ code: 'system' });
});

test('a node that may be gone keeps its turn until it is known to be', async () => {
  const lost = resize(
    contextOf('one', () => isLet.promise),
    drive.sizeBytes + 5000,
  );
  expect(await isWaiting(lost)).toBe(true);
  await scratch.context.metadata.transaction((tx) => tx.nodes.beat('one', 'gone'));
  let isKnown = false;
  const takesForGone = (): boolean => isKnown;
  const second = resize(
    { ...contextOf('other'), node: { ...scratchNode('other'), takesForGone } },
    drive.sizeBytes + 2,
  );
  expect(await isWaiting(second)).toBe(true);
  expect(fenced).toEqual([]);
  isKnown = true;
  await second;
  expect(fenced).toEqual([`one from ${drive.poolName}`]);
  isLet.resolve();
  await expect(lost).rejects.toMatchObject({ code: 'system' });
});

test('what a resize asks of the volume is asked for in the life of its node that it was begun in', async () => {
  let life = 7;
  const asked: number[] = [];
  const one = contextOf('one');
  const context: ServiceContext = {
    ...one,
    poolLife: () => life,
    writes: {
      ...one.writes,
      quiesce: () => {
        life += 1;
        return Promise.resolve();
      },
    },
    volumes: {
      ...one.volumes,
      resize: (_spec, change) => {
        asked.push(change.life);
        return Promise.resolve();
      },
    },
  };
  // Or it would be waited for until it is taken for gone.
  await scratch.context.metadata.transaction((tx) => tx.nodes.beat('other', 'gone'));
  await resize(context, drive.sizeBytes - 2000);
  expect([asked, life]).toEqual([[7], 8]);
});
