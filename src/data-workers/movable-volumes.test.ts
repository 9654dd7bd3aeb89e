import { beforeEach, expect, test } from 'vitest';
import { NO_DIGEST } from '../core/body-digest.ts';
import { createMovableVolumes } from './movable-volumes.ts';
import type { ServedEnd } from './protocol.ts';
import type { StoredVolumes } from './stored-volumes.ts';
import type { VolumeSpec } from './volume.ts';
import type { LentPieces, NbdConnection, Volumes } from './volumes.ts';

const DRIVE = 'drive';
const SPEC: VolumeSpec = {
  volumeName: DRIVE,
  poolName: 'one',
  sizeBytes: 100,
  volumeKey: null,
  lock: new SharedArrayBuffer(16),
};
const RANGE = { offsetBytes: 0, lengthBytes: 1 };
const WRITE = {
  life: 0,
  offsetBytes: 0,
  body: { encryptedBytes: 0, segments: [], release: () => undefined },
  encoding: 'identity',
  digest: NO_DIGEST,
} as const;
const CONNECTION: NbdConnection = {
  life: 0,
  descriptor: 7,
  isReadOnly: false,
  form: 'simple',
  contextId: null,
  leftover: Buffer.from('first'),
  limit: new SharedArrayBuffer(8),
  stats: new SharedArrayBuffer(8),
};

/** What was asked for and where, as `CALL POOL`; a call ends when the test says so. */
let calls: string[];
let ends: Map<string, () => void>;
let attachments: { pool: string; leftover: string; end: (end: ServedEnd) => void; isDetached: boolean }[];
let volumes: Volumes;
let life: number;

function asked<Result>(call: string, poolName: string, result: Result): Promise<Result> {
  calls.push(`${call} ${poolName}`);
  return new Promise((resolve) => ends.set(`${call} ${poolName}`, () => resolve(result)));
}

function end(call: string): void {
  const found = ends.get(call);
  if (found === undefined) throw new Error(`${call} was not asked for.`);
  found();
}

/** Lets everything that can happen by itself happen. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 50; turn += 1) await Promise.resolve();
}

function pieces(): LentPieces {
  const iterator = { next: () => Promise.resolve({ done: true, value: undefined } as const) };
  return { pieces: { [Symbol.asyncIterator]: () => iterator }, abandon: () => undefined };
}

beforeEach(() => {
  life = 0;
  calls = [];
  ends = new Map();
  attachments = [];
  const unused = (): never => {
    throw new Error('Nobody asks for this here.');
  };
  const stored: StoredVolumes = {
    create: unused,
    resize: unused,
    readWithDigest: unused,
    send: unused,
    readSlowly: unused,
    receive: unused,
    writeAsReceived: ({ poolName }) => asked('take', poolName, 1),
    map: unused,
    fillHoles: unused,
    remove: ({ poolName }) => asked('remove', poolName, undefined),
    read: ({ poolName }) => asked('read', poolName, pieces()),
    write: ({ poolName }) => asked('write', poolName, 1),
    attach({ poolName }, { leftover }) {
      const { promise, resolve } = Promise.withResolvers<ServedEnd>();
      const attachment = {
        pool: poolName,
        leftover: Buffer.from(leftover).toString(),
        end: resolve,
        isDetached: false,
      };
      attachments.push(attachment);
      return {
        ended: promise,
        release: () => {
          calls.push(`release ${poolName}`);
          return Promise.resolve();
        },
        detach() {
          attachment.isDetached = true;
          resolve({ reason: 'cut', leftover: Buffer.alloc(0) });
          return Promise.resolve();
        },
      };
    },
  };
  volumes = createMovableVolumes(stored, () => life);
});

test('a relocation waits for the writes under way, and later ones go on where the drive is then', async () => {
  const before = volumes.write(SPEC, WRITE);
  let isCopied = false;
  const relocating = volumes.relocate(DRIVE, () => {
    isCopied = true;
    return asked('copy', 'two', 'two');
  });
  const during = volumes.write(SPEC, WRITE);
  await settle();
  expect([isCopied, calls]).toEqual([false, ['write one']]);
  end('write one');
  await before;
  await settle();
  expect([isCopied, calls]).toEqual([true, ['write one', 'copy two']]);
  end('copy two');
  await relocating;
  await settle();
  expect(calls.at(-1)).toBe('write two');
  end('write two');
  expect(await during).toBe(1);
});

test('a relocation waits for a body that its thread is to write, but no body for a relocation', async () => {
  const body = { lengthBytes: 1, async *chunks() {}, takeSocket: () => null };
  const direct = { ...WRITE, body, onReceived: () => undefined };
  const before = volumes.writeAsReceived(SPEC, direct);
  const relocating = volumes.relocate(DRIVE, () => asked('copy', 'two', 'two'));
  expect(await volumes.writeAsReceived(SPEC, direct)).toBeNull();
  await settle();
  expect(calls).toEqual(['take one']);
  end('take one');
  await before;
  await settle();
  expect(calls).toEqual(['take one', 'copy two']);
  end('copy two');
  await relocating;
  const after = volumes.writeAsReceived(SPEC, direct);
  await settle();
  end('take two');
  expect(await after).toBe(1);
});

test('reads are not held up, and the volume that the drive has left is removed once nobody reads it any more', async () => {
  const early = volumes.read(SPEC, RANGE);
  end('read one');
  const { pieces: unread } = await early;
  const relocating = volumes.relocate(DRIVE, () => asked('copy', 'two', 'two'));
  await settle();
  void volumes.read(SPEC, RANGE);
  end('copy two');
  await relocating;
  void volumes.read(SPEC, RANGE);
  expect(calls).toEqual(['read one', 'copy two', 'read one', 'read two']);
  end('read one');
  const removing = volumes.remove({ volumeName: DRIVE, poolName: 'one' }, { isLeft: true });
  await settle();
  expect(calls).not.toContain('remove one');
  await unread[Symbol.asyncIterator]().next();
  await settle();
  // The one that has been answered but not been read yet is in the way as well.
  expect(calls).not.toContain('remove one');
  expect(removing).toBeInstanceOf(Promise);
});

test('a relocation that fails leaves everybody where they were', async () => {
  const relocating = volumes.relocate(DRIVE, () => Promise.reject(new Error('The disk is full.')));
  const during = volumes.write(SPEC, WRITE);
  await expect(relocating).rejects.toThrow('The disk is full.');
  await settle();
  end('write one');
  expect(await during).toBe(1);
});

test('other drives are not held up', async () => {
  void volumes.relocate(DRIVE, () => asked('copy', 'two', 'two'));
  await settle();
  void volumes.write({ ...SPEC, volumeName: 'another' }, WRITE);
  expect(calls).toEqual(['copy two', 'write one']);
});

test('a connection is released, and goes on in the new pool with what its client has sent', async () => {
  const connection = volumes.attach(SPEC, CONNECTION);
  expect(attachments[0]).toMatchObject({ pool: 'one', leftover: 'first' });
  let isCopied = false;
  const relocating = volumes.relocate(DRIVE, () => {
    isCopied = true;
    return asked('copy', 'two', 'two');
  });
  await settle();
  expect([isCopied, calls]).toEqual([false, ['release one']]);
  attachments[0]?.end({ reason: 'released', leftover: Buffer.from('half a request') });
  await settle();
  expect([isCopied, attachments.length]).toEqual([true, 1]);
  const late = volumes.attach(SPEC, CONNECTION);
  end('copy two');
  await relocating;
  await settle();
  expect(
    attachments
      .slice(1)
      .map(({ pool, leftover }) => `${pool} ${leftover}`)
      .toSorted(),
  ).toEqual(['two first', 'two half a request']);
  for (const { end: endNow } of attachments) endNow({ reason: 'disconnected', leftover: Buffer.alloc(0) });
  expect(await Promise.all([connection.ended, late.ended])).toEqual(['disconnected', 'disconnected']);
});

test('a connection that is cut while its drive is relocated begins nowhere else', async () => {
  const connection = volumes.attach(SPEC, CONNECTION);
  const relocating = volumes.relocate(DRIVE, () => asked('copy', 'two', 'two'));
  await settle();
  attachments[0]?.end({ reason: 'released', leftover: Buffer.alloc(0) });
  await settle();
  const detached = connection.detach();
  end('copy two');
  await Promise.all([relocating, detached]);
  expect(await connection.ended).toBe('cut');
  expect(attachments).toHaveLength(1);
});

test('a relocation that comes to nothing leaves everybody where they were', async () => {
  const connection = volumes.attach(SPEC, CONNECTION);
  const relocating = volumes.relocate(DRIVE, () => Promise.resolve(null));
  const during = volumes.write(SPEC, WRITE);
  await settle();
  attachments[0]?.end({ reason: 'released', leftover: Buffer.alloc(0) });
  await relocating;
  await settle();
  end('write one');
  expect([await during, attachments.map(({ pool }) => pool)]).toEqual([1, ['one', 'one']]);
  await connection.detach();
});

test('where a drive has moved to is forgotten when another node moves it on', async () => {
  await volumes.relocate(DRIVE, () => Promise.resolve('two'));
  void volumes.write(SPEC, WRITE);
  volumes.forgetMove(DRIVE);
  void volumes.write(SPEC, WRITE);
  expect(calls).toEqual(['write two', 'write one']);
});

test('who was let through in a later life knows where the drive is, and who was before goes where it has moved', async () => {
  const connection = volumes.attach(SPEC, CONNECTION);
  const relocating = volumes.relocate(DRIVE, () => Promise.resolve('two'));
  await settle();
  attachments[0]?.end({ reason: 'released', leftover: Buffer.alloc(0) });
  await relocating;
  await settle();
  life = 1;
  void volumes.write(SPEC, WRITE);
  void volumes.write(SPEC, { ...WRITE, life: 1 });
  const late = volumes.attach(SPEC, { ...CONNECTION, life: 1 });
  expect(calls).toEqual(['release one', 'write two', 'write one']);
  // One that was taken along stays where it is when the next relocation fails.
  const failing = volumes.relocate(DRIVE, () => Promise.reject(new Error('The disk is full.')));
  end('write two');
  end('write one');
  await settle();
  for (const attachment of attachments) attachment.end({ reason: 'released', leftover: Buffer.alloc(0) });
  await expect(failing).rejects.toThrow('The disk is full.');
  await settle();
  expect(attachments.map(({ pool }) => pool)).toEqual(['one', 'two', 'one', 'two', 'one']);
  await Promise.all([connection.detach(), late.detach()]);
});
