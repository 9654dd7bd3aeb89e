import { hash } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { expect, test } from 'vitest';
import type { Sha256Pair } from '../cli-io.ts';
import { PieceHasher } from './piece-hasher.ts';

const MIB = 1024 * 1024;
const PIECES = ['a', 'b', 'c'].map((letter) => Buffer.alloc(MIB, letter));
const HASHES = PIECES.map((piece) => hash('sha256', piece, 'hex'));

function createHasher(parallel: number): { hasher: PieceHasher; pairs: string[]; waits: number[] } {
  const pairs: string[] = [];
  const waits: number[] = [];
  const sha256Pair: Sha256Pair = (...messages) => {
    pairs.push(messages.map(([part]) => String.fromCodePoint(part?.[0] ?? 0)).join(''));
    const [one, other] = messages.map(([part]) => hash('sha256', part ?? Buffer.alloc(0), 'buffer'));
    if (one === undefined || other === undefined) throw new Error('A pair has two.');
    return [one, other];
  };
  const sleep = async (delayMs: number, signal?: AbortSignal): Promise<void> => {
    waits.push(delayMs);
    await delay(delayMs, undefined, signal === undefined ? {} : { signal }).catch(() => undefined);
  };
  return { hasher: new PieceHasher({ sha256Pair, parallel, sleep }), pairs, waits };
}

test('pieces are hashed by twos, and each gets its own hash', async () => {
  const { hasher, pairs } = createHasher(4);
  expect(await Promise.all(PIECES.map((piece) => hasher.sha256(piece)))).toEqual(HASHES);
  expect(pairs).toEqual(['ab']);
});

test('a piece that waits in vain is hashed alone', async () => {
  const { hasher, pairs, waits } = createHasher(4);
  expect(await hasher.sha256(PIECES[0] ?? Buffer.alloc(0))).toBe(HASHES[0]);
  expect(await hasher.sha256(PIECES[1] ?? Buffer.alloc(0))).toBe(HASHES[1]);
  expect(pairs).toEqual([]);
  expect(waits).toHaveLength(2);
});

test('a piece does not wait when no other can come, or when it is small', async () => {
  const alone = createHasher(1);
  expect(await alone.hasher.sha256(PIECES[2] ?? Buffer.alloc(0))).toBe(HASHES[2]);
  expect(alone.waits).toEqual([]);
  const small = createHasher(4);
  expect(await small.hasher.sha256(Buffer.from('small'))).toBe(hash('sha256', 'small', 'hex'));
  expect(small.waits).toEqual([]);
});
