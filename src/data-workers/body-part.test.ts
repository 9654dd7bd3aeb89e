import { expect, test } from 'vitest';
import { noise } from '../../test/helpers/sample-bytes.ts';
import { addressOf } from '../runtime/memory-address.ts';
import { createArena, PIECE_BYTES, viewOf } from './arena.ts';
import { receiveBodyPart } from './body-part.ts';
import { scratchLoop, socketPair } from './scratch-sockets.ts';

const LENGTH = PIECE_BYTES + 300_032;
const DATA = noise('body part', LENGTH);

/** Turns every bit of a piece over, as a cipher that shows where it has been, and how often. */
function flip(part: Uint8Array): void {
  for (const [index, byte] of part.entries()) part[index] = byte ^ 0xff;
}

async function receive({ filledBytes, sentBytes }: { filledBytes: number; sentBytes: number }) {
  await using pair = await socketPair();
  using thread = scratchLoop();
  const { memory, reserve } = createArena(4 * PIECE_BYTES);
  // Two segments that are not neighbours, as an arena in use may lend them.
  const first = reserve(PIECE_BYTES);
  reserve(PIECE_BYTES);
  const segments = [first, { ...reserve(PIECE_BYTES), lengthBytes: LENGTH - PIECE_BYTES }];
  const content = (): Buffer => Buffer.concat(segments.map((segment) => viewOf(memory, segment)));
  viewOf(memory, first).set(DATA.subarray(0, filledBytes));
  pair.client.end(DATA.subarray(filledBytes, filledBytes + sentBytes));
  const seen: number[] = [];
  const part = {
    loop: thread.loop,
    memory,
    baseAddress: addressOf(memory.buffer as SharedArrayBuffer),
    descriptor: pair.descriptor,
    segments,
    filledBytes,
    pieceBytes: 262_144,
  };
  const encrypt = (atBytes: number, piece: Uint8Array): void => {
    seen.push(atBytes);
    flip(piece);
  };
  const received = await thread.during(receiveBodyPart({ ...part, encrypt }));
  return { ...received, seen, content: content() };
}

test.each([
  ['of which nothing is there', 0],
  ['of which a little is there', 77],
  ['of which some pieces are there', 600_000],
])('a body %s is encrypted as a whole, each byte once and in its place', async (_what, filledBytes) => {
  const sentBytes = LENGTH - filledBytes;
  const { receivedBytes, encryptedBytes, seen, content } = await receive({ filledBytes, sentBytes });
  expect([receivedBytes, encryptedBytes]).toEqual([sentBytes, LENGTH]);
  expect(seen).toEqual([0, 262_144, 524_288, 786_432, 1_048_576, 1_310_720]);
  flip(content);
  expect(content.equals(DATA)).toBe(true);
});

test('of a body that stops within a piece only the whole pieces are encrypted', async () => {
  const { receivedBytes, encryptedBytes, content } = await receive({ filledBytes: 10, sentBytes: 300_000 });
  expect([receivedBytes, encryptedBytes]).toEqual([300_000, 262_144]);
  flip(content.subarray(0, encryptedBytes));
  expect(content.subarray(0, 300_010).equals(DATA.subarray(0, 300_010))).toBe(true);
});
