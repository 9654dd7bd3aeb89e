import { expect, test } from 'vitest';
import { createArena, PIECE_BYTES, viewOf } from './arena.ts';
import type { Loan, Segment } from './arena.ts';
import { readPieces } from './piece-reader.ts';

const arena = createArena(16 * PIECE_BYTES);
const region = arena.reserve(8 * PIECE_BYTES);

function loanOf(pieces: number): Loan & { released: number } {
  return {
    segments: [{ address: region.address, lengthBytes: pieces * PIECE_BYTES }],
    released: 0,
    release() {
      this.released += 1;
    },
  };
}

/** A drive whose bytes all tell the number of their piece. */
async function readNumber(offsetBytes: number, into: Segment): Promise<void> {
  await Promise.resolve();
  viewOf(arena.memory, into).fill(Math.floor(offsetBytes / PIECE_BYTES) + 1);
}

test('pieces come in order, and the loan goes back once, when the last one is released', async () => {
  const loan = loanOf(2);
  const range = { offsetBytes: 0, lengthBytes: 5 * PIECE_BYTES + 100 };
  const { pieces } = await readPieces({ range, loan, memory: arena.memory, readPiece: readNumber });
  const seen: [number, number][] = [];
  for await (const piece of pieces) {
    seen.push([piece.bytes[0] ?? -1, piece.bytes.byteLength]);
    expect(loan.released).toBe(0);
    piece.release();
  }
  expect(seen).toEqual([1, 2, 3, 4, 5].map((number) => [number, PIECE_BYTES]).concat([[6, 100]]));
  expect(loan.released).toBe(1);
});

test('a piece that is out is not overwritten by what is read ahead', async () => {
  const range = { offsetBytes: 0, lengthBytes: 4 * PIECE_BYTES };
  const { pieces } = await readPieces({
    range,
    loan: loanOf(2),
    memory: arena.memory,
    readPiece: readNumber,
  });
  const iterator = pieces[Symbol.asyncIterator]();
  const first = await iterator.next();
  const second = await iterator.next();
  if (first.done === true || second.done === true) throw new Error('There are more pieces than that.');
  second.value.release();
  const third = await iterator.next();
  expect(third.done).toBe(false);
  expect(first.value.bytes[0]).toBe(1);
});

test('a consumer that holds every piece of the window waits for the next one, and does not miss it', async () => {
  const range = { offsetBytes: 0, lengthBytes: 4 * PIECE_BYTES };
  const { pieces, abandon } = await readPieces({
    range,
    loan: loanOf(2),
    memory: arena.memory,
    readPiece: readNumber,
  });
  const iterator = pieces[Symbol.asyncIterator]();
  const held = [await iterator.next(), await iterator.next()];
  const third = iterator.next();
  await new Promise((resolve) => {
    setImmediate(resolve);
  });
  held[0]?.value?.release();
  const { done, value } = await third;
  expect([done, value?.bytes[0]]).toEqual([false, 3]);
  const fourth = iterator.next();
  abandon();
  expect(await fourth).toEqual({ done: true, value: undefined });
});

test('an error of the first piece is thrown before anything is handed out, and the loan goes back', async () => {
  const loan = loanOf(2);
  const readPiece = async (): Promise<void> => await Promise.reject(new Error('EIO'));
  const range = { offsetBytes: 0, lengthBytes: 3 * PIECE_BYTES };
  await expect(readPieces({ range, loan, memory: arena.memory, readPiece })).rejects.toThrow('EIO');
  await new Promise((resolve) => {
    setImmediate(resolve);
  });
  expect(loan.released).toBe(1);
});

test('an error in the middle is thrown in its place, and the loan goes back', async () => {
  const loan = loanOf(2);
  const readPiece = async (offsetBytes: number, into: Segment): Promise<void> => {
    if (offsetBytes >= 2 * PIECE_BYTES) throw new Error('EIO');
    await readNumber(offsetBytes, into);
  };
  const range = { offsetBytes: 0, lengthBytes: 5 * PIECE_BYTES };
  const { pieces } = await readPieces({ range, loan, memory: arena.memory, readPiece });
  let count = 0;
  const readAll = async (): Promise<void> => {
    for await (const piece of pieces) {
      count += 1;
      piece.release();
    }
  };
  await expect(readAll()).rejects.toThrow('EIO');
  expect(count).toBe(2);
  await new Promise((resolve) => {
    setImmediate(resolve);
  });
  expect(loan.released).toBe(1);
});

test('the loan of a reader that stops stays out until nothing is being read into it', async () => {
  const loan = loanOf(2);
  const gates: (() => void)[] = [];
  const readPiece = async (offsetBytes: number): Promise<void> => {
    if (offsetBytes === 0) return;
    await new Promise<void>((resolve) => {
      gates.push(resolve);
    });
  };
  const range = { offsetBytes: 0, lengthBytes: 5 * PIECE_BYTES };
  const { abandon } = await readPieces({ range, loan, memory: arena.memory, readPiece });
  abandon();
  await new Promise((resolve) => {
    setImmediate(resolve);
  });
  expect(loan.released).toBe(0);
  for (const open of gates) open();
  await new Promise((resolve) => {
    setImmediate(resolve);
  });
  expect(loan.released).toBe(1);
});
