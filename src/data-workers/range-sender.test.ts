import { expect, test } from 'vitest';
import { createArena, PIECE_BYTES } from './arena.ts';
import type { Arena } from './arena.ts';
import { createPieceLender } from './piece-lender.ts';
import type { PieceLender } from './piece-lender.ts';
import type { Operations, SentRange } from './protocol.ts';
import { sendRange } from './range-sender.ts';
import { sendTurn } from './send-turn.ts';
import type { Sending, SocketOutput } from './volumes.ts';

const RANGE = { offsetBytes: 0, lengthBytes: 1000 };
const HEAD = Buffer.from('a head');
const ALL = HEAD.byteLength + RANGE.lengthBytes;

type SendRequest = Omit<Operations['send']['request'], 'volumeName'>;

interface Scratch {
  readonly arena: Arena;
  readonly lender: PieceLender;
  /** Which descriptors were duplicated and which copies closed, in order. */
  readonly events: string[];
  send(socket?: Partial<SocketOutput>): Sending;
}

/** A sender whose thread is a function, with memory for one read. */
function scratch(sendInThread: (request: SendRequest) => Promise<SentRange>): Scratch {
  const arena = createArena(2 * PIECE_BYTES);
  const lender = createPieceLender(arena, PIECE_BYTES);
  const events: string[] = [];
  const sockets = {
    duplicate(descriptor: number): number {
      events.push(`duplicate ${descriptor}`);
      if (descriptor === 99) throw new Error('EMFILE');
      return descriptor + 100;
    },
    close: (descriptor: number) => void events.push(`close ${descriptor}`),
  };
  const parts = { memory: arena.memory, lender, pieceCount: 1, sockets, sendInThread };
  const send = (socket: Partial<SocketOutput> = {}): Sending =>
    sendRange(parts, RANGE, { descriptor: () => 5, head: HEAD, ...socket });
  return { arena, lender, events, send };
}

const sent = (change: Partial<SentRange>): (() => Promise<SentRange>) => {
  return () => Promise.resolve({ sentBytes: ALL, isBroken: false, failure: null, ...change });
};
const EIO = { code: null, errno: 'EIO', message: 'EIO', stack: null };
const NOTHING = { isHeadSent: false, sentBytes: 0, isCut: false, failure: null };

/** Whether all memory is there again. */
async function expectGivenBack({ lender }: Scratch): Promise<void> {
  (await lender.borrow(lender.pieceCount)).release();
}

test.each<[string, Partial<SentRange>, object]>([
  ['all of it', {}, { isHeadSent: true, sentBytes: 1000, isCut: false, failure: null }],
  ['the head and no more', { sentBytes: 6 }, { isHeadSent: true, sentBytes: 0, isCut: false }],
  ['nothing, the client being slow', { sentBytes: 0 }, NOTHING],
  ['part of the head', { sentBytes: 5 }, { isHeadSent: false, sentBytes: 0, isCut: true }],
  ['some, the connection being broken', { sentBytes: 50, isBroken: true }, { sentBytes: 44, isCut: true }],
  ['nothing, the connection being broken', { sentBytes: 0, isBroken: true }, { isCut: true, sentBytes: 0 }],
  [
    'some, the disk failing then',
    { sentBytes: 50, failure: EIO },
    { sentBytes: 44, isCut: false, failure: expect.objectContaining({ code: 'EIO' }) },
  ],
])('when the socket takes %s, that is said', async (_what, outcome, part) => {
  const test = scratch(sent(outcome));
  expect(await test.send().done).toMatchObject(part);
  expect(test.events).toEqual(['duplicate 5', 'close 105']);
  await expectGivenBack(test);
});

test('a range that cannot be read at all is thrown', async () => {
  const test = scratch(sent({ sentBytes: 0, failure: EIO }));
  await expect(test.send().done).rejects.toMatchObject({ code: 'EIO' });
  expect(test.events).toEqual(['duplicate 5', 'close 105']);
  await expectGivenBack(test);
});

test('a descriptor is asked for when it is duplicated and not before, since its number may be used anew', async () => {
  const test = scratch(sent({}));
  const others = await test.lender.borrow(1);
  let descriptor: number | null = 5;
  const sending = test.send({ descriptor: () => descriptor });
  descriptor = null;
  others.release();
  expect(await sending.done).toEqual(NOTHING);
  expect(test.events).toEqual([]);
  await expectGivenBack(test);
});

test('where no more descriptors can be had, nothing is sent and nothing fails', async () => {
  const test = scratch(sent({}));
  expect(await test.send({ descriptor: () => 99 }).done).toEqual(NOTHING);
  expect(test.events).toEqual(['duplicate 99']);
  await expectGivenBack(test);
});

test('what is taken back before a thread has begun is never begun', async () => {
  const { promise: gate, resolve: open } = Promise.withResolvers<void>();
  const begun: boolean[] = [];
  const test = scratch(async ({ turn }) => {
    await gate;
    begun.push(sendTurn(test.arena.memory, turn).take());
    return { sentBytes: 0, isBroken: false, failure: null };
  });
  const sending = test.send();
  await Promise.resolve();
  await Promise.resolve();
  expect(sending.takeBack()).toBe(true);
  open();
  expect(await sending.done).toEqual(NOTHING);
  expect(begun).toEqual([false]);
});

test('what is taken back while it waits for memory has no thread asked', async () => {
  const test = scratch(() => Promise.reject(new Error('not to be asked')));
  const others = await test.lender.borrow(1);
  const sending = test.send();
  expect(sending.takeBack()).toBe(true);
  others.release();
  expect(await sending.done).toEqual(NOTHING);
  expect(test.events).toEqual([]);
});

test('what a thread has begun cannot be taken back', async () => {
  const { promise: begun, resolve: begin } = Promise.withResolvers<void>();
  const { promise: gate, resolve: open } = Promise.withResolvers<void>();
  const test = scratch(async ({ turn }) => {
    expect(sendTurn(test.arena.memory, turn).take()).toBe(true);
    begin();
    await gate;
    return await sent({})();
  });
  const sending = test.send();
  await begun;
  expect(sending.takeBack()).toBe(false);
  open();
  expect(await sending.done).toMatchObject({ sentBytes: 1000 });
});

test('the memory that a thread sends through has room for a head and a step, apart from the turn', async () => {
  const test = scratch(async ({ through, turn }) => {
    expect(turn.address).toBeGreaterThanOrEqual(through.address + through.lengthBytes);
    expect(turn.address % 4).toBe(0);
    return await sent({})();
  });
  await test.send().done;
});
