import { hash } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { expect, test } from 'vitest';
import type { Sha256InThread } from '../cli-io.ts';
import { PieceHasher } from './piece-hasher.ts';

const MIB = 1024 * 1024;
const PIECES = ['a', 'b', 'c'].map((letter) => Buffer.alloc(MIB, letter));
const HASHES = PIECES.map((piece) => hash('sha256', piece, 'hex'));

function createHasher(parallel: number): { hasher: PieceHasher; calls: string[]; waits: number[] } {
  const calls: string[] = [];
  const waits: number[] = [];
  const sha256InThread: Sha256InThread = async (messages) => {
    calls.push(messages.map((bytes) => String.fromCodePoint(bytes[0] ?? 0)).join(''));
    return messages.map((bytes) => hash('sha256', bytes, 'buffer'));
  };
  const sleep = async (delayMs: number, signal?: AbortSignal): Promise<void> => {
    waits.push(delayMs);
    await delay(delayMs, undefined, signal === undefined ? {} : { signal }).catch(() => undefined);
  };
  return { hasher: new PieceHasher({ sha256InThread, parallel, sleep }), calls, waits };
}

test('pieces are hashed by twos, and each gets its own hash', async () => {
  const { hasher, calls } = createHasher(4);
  expect(await Promise.all(PIECES.map((piece) => hasher.sha256(piece)))).toEqual(HASHES);
  expect(calls).toEqual(['ab', 'c']);
});

test('a piece that waits in vain is hashed alone', async () => {
  const { hasher, calls, waits } = createHasher(4);
  expect(await hasher.sha256(PIECES[0] ?? Buffer.alloc(0))).toBe(HASHES[0]);
  expect(await hasher.sha256(PIECES[1] ?? Buffer.alloc(0))).toBe(HASHES[1]);
  expect(calls).toEqual(['a', 'b']);
  expect(waits).toHaveLength(2);
});

test('a piece does not wait when no other can come, or when it is small', async () => {
  const alone = createHasher(1);
  expect(await alone.hasher.sha256(PIECES[2] ?? Buffer.alloc(0))).toBe(HASHES[2]);
  expect(alone.waits).toEqual([]);
  const small = createHasher(4);
  expect(await small.hasher.sha256(Buffer.from('small'))).toBe(hash('sha256', 'small', 'hex'));
  expect(small.waits).toEqual([]);
  expect(small.calls).toEqual([]);
});

test('both pieces of a pair fail with their hashing', async () => {
  const sha256InThread: Sha256InThread = () => Promise.reject(new Error('It cannot be hashed.'));
  const hasher = new PieceHasher({ sha256InThread, parallel: 4, sleep: () => delay(0) });
  const hashing = PIECES.slice(0, 2).map((piece) => hasher.sha256(piece));
  for (const { status } of await Promise.allSettled(hashing)) expect(status).toBe('rejected');
});
