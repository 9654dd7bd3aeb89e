import { expect, test } from 'vitest';
import { createArena, PIECE_BYTES } from './arena.ts';
import { createPieceLender } from './piece-lender.ts';

function lenderOf(pieces: number): ReturnType<typeof createPieceLender> {
  return createPieceLender(createArena((pieces + 2) * PIECE_BYTES), pieces * PIECE_BYTES);
}

/** Whether a promise has settled, once everything that can happen has. */
async function isSettled(promise: Promise<unknown>): Promise<boolean> {
  const pending = Symbol('pending');
  const settled = promise.catch(() => undefined);
  await new Promise((resolve) => {
    setImmediate(resolve);
  });
  return (await Promise.race([settled, Promise.resolve(pending)])) !== pending;
}

test('adjacent pieces are lent as one segment', async () => {
  const loan = await lenderOf(8).borrow(3);
  expect(loan.segments.map((segment) => segment.lengthBytes)).toEqual([3 * PIECE_BYTES]);
});

test('no two loans share a byte', async () => {
  const lender = lenderOf(8);
  const loans = [await lender.borrow(3), await lender.borrow(2), await lender.borrow(3)];
  loans[1]?.release();
  loans.push(await lender.borrow(1), await lender.borrow(1));
  const live = [loans[0], loans[2], loans[3], loans[4]].flatMap((loan) => loan?.segments ?? []);
  const ranges = live.map((segment) => [segment.address, segment.address + segment.lengthBytes] as const);
  ranges.sort((one, other) => one[0] - other[0]);
  const overlaps = ranges.filter((range, index) => range[1] > (ranges[index + 1]?.[0] ?? Infinity));
  expect(overlaps).toEqual([]);
});

test('a borrower waits until there is enough, and nobody overtakes it', async () => {
  const lender = lenderOf(4);
  const first = await lender.borrow(3);
  const large = lender.borrow(4);
  const small = lender.borrow(1);
  expect(await isSettled(small)).toBe(false);
  first.release();
  (await large).release();
  expect((await small).segments).toHaveLength(1);
});

test('pieces are lent at once only when they are there and nobody waits', async () => {
  const lender = lenderOf(4);
  const first = lender.borrowNow(3);
  expect([first === null, lender.borrowNow(2)]).toEqual([false, null]);
  const waiting = lender.borrow(2);
  expect(lender.borrowNow(1)).toBeNull();
  first?.release();
  (await waiting).release();
  expect(lender.borrowNow(4)).not.toBeNull();
});

test('a borrower that gives up lets the next one in', async () => {
  const lender = lenderOf(2);
  const first = await lender.borrow(1);
  const abort = new AbortController();
  const large = lender.borrow(2, abort.signal);
  const small = lender.borrow(1);
  abort.abort(new Error('gone'));
  await expect(large).rejects.toThrow('gone');
  (await small).release();
  first.release();
  expect((await lender.borrow(2)).segments[0]?.lengthBytes).toBe(2 * PIECE_BYTES);
});

test('more than there is, and giving back twice, are mistakes', async () => {
  const lender = lenderOf(2);
  await expect(lender.borrow(3)).rejects.toThrow(RangeError);
  const loan = await lender.borrow(1);
  loan.release();
  expect(() => loan.release()).toThrow('given back before');
});
