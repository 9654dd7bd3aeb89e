import { expect, test } from 'vitest';
import { noise } from '../../test/helpers/sample-bytes.ts';
import { createArena, PIECE_BYTES, viewOf } from './arena.ts';
import type { Segment } from './arena.ts';
import { receiveBody } from './body-receiver.ts';
import type { ReceiveFrom } from './body-receiver.ts';
import { createPieceLender } from './piece-lender.ts';
import type { ReceivedBody, SocketInput } from './volumes.ts';

const PIECES = 4;
const DATA = noise('body', 3 * PIECE_BYTES);
/** What the thread says that it has encrypted. */
const ENCRYPTED_BYTES = 512;

/** A body that comes with so many bytes received already, of which a thread then reads so many itself. */
interface Incoming {
  readonly lengthBytes: number;
  readonly received?: number;
  readonly threadReads?: number;
  /** What comes in chunks then; by default all that is missing. */
  readonly chunks?: readonly Buffer[];
  readonly hasSocket?: boolean;
}

function scratch() {
  const arena = createArena((PIECES + 1) * PIECE_BYTES);
  const lender = createPieceLender(arena, PIECES * PIECE_BYTES);
  const { memory } = arena;
  const given: number[] = [];
  let sockets = 0;
  const receive = async (
    { lengthBytes, received = 0, threadReads = 0, chunks, hasSocket = true }: Incoming,
    receiveFrom?: ReceiveFrom,
  ): Promise<ReceivedBody> => {
    const all = DATA.subarray(0, lengthBytes);
    const restAt = hasSocket ? received + threadReads : 0;
    const socket: SocketInput = {
      descriptor: 5,
      received: all.subarray(0, received),
      giveBack: (readBytes) => void given.push(readBytes),
    };
    const body = {
      lengthBytes,
      async *chunks() {
        if (chunks !== undefined) return yield* chunks;
        for (let at = restAt; at < lengthBytes; at += 10_000) yield all.subarray(at, at + 10_000);
      },
      takeSocket() {
        sockets += 1;
        return hasSocket ? socket : null;
      },
    };
    const fromThread: ReceiveFrom = (_descriptor, { segments, filledBytes }) => {
      const content = Buffer.concat(segments.map((segment) => viewOf(memory, segment)));
      all.copy(content, filledBytes, received, received + threadReads);
      let done = 0;
      for (const segment of segments) {
        viewOf(memory, segment).set(content.subarray(done, done + segment.lengthBytes));
        done += segment.lengthBytes;
      }
      return Promise.resolve({ receivedBytes: threadReads, encryptedBytes: ENCRYPTED_BYTES });
    };
    const parts = { lender, memory, receiveFrom: receiveFrom ?? fromThread };
    return await receiveBody(body, parts);
  };
  const contentOf = ({ segments }: ReceivedBody): Buffer =>
    Buffer.concat(segments.map((segment) => viewOf(memory, segment as Segment)));
  const expectGivenBack = async (): Promise<void> => (await lender.borrow(PIECES)).release();
  return { receive, contentOf, expectGivenBack, given, socketsTaken: () => sockets };
}

const LENGTH = 2 * PIECE_BYTES + 777;

test.each<[string, Incoming]>([
  ['whose thread reads all', { lengthBytes: LENGTH, threadReads: LENGTH }],
  [
    'of which some came with the head',
    { lengthBytes: LENGTH, received: 60_000, threadReads: LENGTH - 60_000 },
  ],
  ['whose client is slow', { lengthBytes: LENGTH, received: 10, threadReads: PIECE_BYTES }],
  ['of which the thread got nothing', { lengthBytes: LENGTH, received: 10, threadReads: 0 }],
  [
    'whose thread stopped at the end of a piece',
    { lengthBytes: LENGTH, received: 1, threadReads: PIECE_BYTES - 1 },
  ],
  ['of whole pieces', { lengthBytes: 3 * PIECE_BYTES, received: 5, threadReads: 2 * PIECE_BYTES }],
  ['without a socket', { lengthBytes: LENGTH, hasSocket: false }],
])('a body %s is whole and in order', async (_what, incoming) => {
  const { receive, contentOf, expectGivenBack, given } = scratch();
  const body = await receive(incoming);
  expect(contentOf(body).equals(DATA.subarray(0, incoming.lengthBytes))).toBe(true);
  expect(body.encryptedBytes).toBe(incoming.hasSocket === false ? 0 : ENCRYPTED_BYTES);
  expect(given).toEqual(incoming.hasSocket === false ? [] : [incoming.threadReads]);
  body.release();
  await expectGivenBack();
});

test('a small body never takes the socket', async () => {
  const { receive, contentOf, socketsTaken } = scratch();
  expect(contentOf(await receive({ lengthBytes: 1000 })).equals(DATA.subarray(0, 1000))).toBe(true);
  expect(socketsTaken()).toBe(0);
});

test.each<[string, Incoming]>([
  ['that ends early', { lengthBytes: LENGTH, threadReads: PIECE_BYTES, chunks: [Buffer.alloc(10)] }],
  ['that goes on for too long', { lengthBytes: LENGTH, threadReads: LENGTH - 9, chunks: [Buffer.alloc(10)] }],
])('a body %s is refused, and its memory given back', async (_what, incoming) => {
  const { receive, expectGivenBack } = scratch();
  await expect(receive(incoming)).rejects.toMatchObject({ code: 'usage' });
  await expectGivenBack();
});

test('a thread that fails has the socket and the memory given back', async () => {
  const { receive, expectGivenBack, given } = scratch();
  const failing = (): Promise<never> => Promise.reject(new Error('EMFILE'));
  await expect(receive({ lengthBytes: LENGTH, received: 10 }, failing)).rejects.toThrow('EMFILE');
  expect(given).toEqual([0]);
  await expectGivenBack();
});
