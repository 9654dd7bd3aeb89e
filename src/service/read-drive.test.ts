import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { createScratchService } from '../../test/helpers/scratch-service.ts';
import type { ScratchService } from '../../test/helpers/scratch-service.ts';
import { DriveError } from '../core/errors.ts';
import type { LentPiece, Sending, SentPart, SocketOutput, Volumes } from '../data-workers/volumes.ts';
import { readDrive } from './read-drive.ts';
import type { DriveRead } from './service.ts';

const RANGE = { offsetBytes: 1000, lengthBytes: 500, digest: null };
const SOCKET: SocketOutput = { descriptor: () => 5, head: Buffer.from('head') };
const ALL: SentPart = { isHeadSent: true, sentBytes: 500, isCut: false, failure: null };

let scratch: ScratchService;

beforeEach(async () => {
  scratch = await createScratchService();
});

afterEach(async () => {
  await scratch[Symbol.asyncDispose]();
});

/** What was asked of the volumes after the socket took what it did. */
let asked: unknown[];

async function read(sending: Partial<Sending>, overrides: Partial<Volumes> = {}): Promise<DriveRead> {
  asked = [];
  const owner = await scratch.addUser();
  const drive = await scratch.addDrive(owner);
  const volumes: Volumes = {
    ...scratch.context.volumes,
    send: () => ({ done: Promise.resolve(ALL), takeBack: () => false, ...sending }),
    async *readSlowly(_spec, range) {
      asked.push({ slowly: range });
      yield { bytes: Buffer.alloc(range.lengthBytes), release: () => undefined };
    },
    read(_spec, range) {
      asked.push({ read: range });
      return Promise.resolve({ pieces: noPieces(), abandon: () => undefined });
    },
    ...overrides,
  };
  return await readDrive({ ...scratch.context, volumes }, owner, drive.driveId, { ...RANGE, socket: SOCKET });
}

async function* noPieces(): AsyncGenerator<LentPiece> {
  yield* [];
}

async function sizeOf({ pieces }: DriveRead): Promise<number> {
  let sizeBytes = 0;
  for await (const { bytes } of pieces) sizeBytes += bytes.byteLength;
  return sizeBytes;
}

const done = (change: Partial<SentPart>): Partial<Sending> => ({
  done: Promise.resolve({ ...ALL, ...change }),
});

describe('a read that a thread sends', () => {
  test('in full leaves nothing to be sent', async () => {
    const answer = await read({});
    expect(answer).toMatchObject({ sentBytes: 500 });
    expect(await sizeOf(answer)).toBe(0);
  });

  test('in part is read on without memory that is set apart, from where it was', async () => {
    const answer = await read(done({ sentBytes: 100 }));
    expect(answer).toMatchObject({ sentBytes: 100 });
    expect(await sizeOf(answer)).toBe(400);
    expect(asked).toEqual([{ slowly: { offsetBytes: 1100, lengthBytes: 400 } }]);
  });

  test('not at all is read the ordinary way, with the head still to be sent', async () => {
    const answer = await read(done({ isHeadSent: false, sentBytes: 0 }));
    expect(answer).toMatchObject({ sentBytes: null });
    expect(asked).toEqual([{ read: expect.objectContaining({ offsetBytes: 1000, lengthBytes: 500 }) }]);
  });

  test('to a client that is gone is over, and no failure', async () => {
    const answer = await read(done({ isCut: true, sentBytes: 100 }));
    expect([answer.sentBytes, await sizeOf(answer), asked]).toEqual([100, 0, []]);
  });

  test('that fails once something was sent throws where the answer has begun', async () => {
    const answer = await read(done({ sentBytes: 100, failure: new DriveError('system', 'EIO') }));
    expect(answer.sentBytes).toBe(100);
    await expect(sizeOf(answer)).rejects.toThrow('EIO');
  });

  test('that cannot be read on throws where the answer has begun', async () => {
    const readSlowly = async function* (): AsyncGenerator<LentPiece> {
      yield* [];
      throw new DriveError('system', 'The pool is away.');
    };
    const answer = await read(done({ sentBytes: 100 }), { readSlowly });
    await expect(sizeOf(answer)).rejects.toThrow('away');
  });

  test('that fails before anything was sent is refused', async () => {
    const send = (): Sending => ({
      done: Promise.reject(new DriveError('system', 'EIO')),
      takeBack: () => true,
    });
    await expect(read({}, { send })).rejects.toThrow('EIO');
  });
});

describe('a read that a pool does not answer in time', () => {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  });

  afterEach(() => {
    vi.useRealTimers();
  });

  async function lateRead(takeBack: () => boolean): Promise<DriveRead> {
    const { promise: never } = Promise.withResolvers<SentPart>();
    const { promise: asking, resolve: ask } = Promise.withResolvers<void>();
    const send = (): Sending => {
      ask();
      return { done: never, takeBack };
    };
    const reading = read({}, { send });
    reading.catch(() => undefined);
    await asking;
    await vi.advanceTimersByTimeAsync(30_000);
    return await reading;
  }

  test('is refused when its thread can still be kept from sending', async () => {
    await expect(lateRead(() => true)).rejects.toMatchObject({ code: 'system' });
  });

  test('is cut when its thread may have begun: a second answer within the first would be taken for data', async () => {
    const answer = await lateRead(() => false);
    expect(answer.sentBytes).not.toBe(null);
    await expect(sizeOf(answer)).rejects.toMatchObject({ code: 'system' });
  });
});
