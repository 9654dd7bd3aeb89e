import { array, assert, asyncProperty, integer, property, record } from 'fast-check';
import { hash, randomBytes } from 'node:crypto';
import { expect, test } from 'vitest';
import { loadPairHashing, ORDINARY_HASHING } from './sha256-pair.ts';

const { sha256Pair } = loadPairHashing();

type Message = readonly Buffer[];

function hexPair(one: Message, other: Message): string[] {
  return sha256Pair(one, other).map((digest) => digest.toString('hex'));
}

function hexEach(...messages: readonly Message[]): string[] {
  return messages.map((message) => hash('sha256', Buffer.concat(message), 'hex'));
}

const message = record({
  steps: array(integer({ min: 0, max: 5 }), { maxLength: 4 }),
  lastBytes: integer({ min: 0, max: 700 }),
  startBytes: integer({ min: 0, max: 70 }),
}).map(({ steps, lastBytes, startBytes }) =>
  [...steps.map((count) => count * 64), lastBytes].map((lengthBytes) =>
    randomBytes(startBytes + lengthBytes).subarray(startBytes),
  ),
);

test('the hashes of a pair are those of its messages, whatever their lengths and parts', () => {
  assert(
    property(message, message, (one, other) => {
      expect(hexPair(one, other)).toEqual(hexEach(one, other));
    }),
  );
});

test('a message of no parts is hashed right, beside another and alone', () => {
  expect(hexPair([], [])).toEqual(hexEach([], []));
  const other = [randomBytes(1000)];
  expect(hexPair([], other)).toEqual(hexEach([], other));
});

test('messages of several MiB are hashed right', () => {
  const one = [randomBytes(4 * 1024 * 1024)];
  const other = [randomBytes(1024 * 1024), randomBytes(2 * 1024 * 1024 + 4321)];
  expect(hexPair(one, other)).toEqual(hexEach(one, other));
});

const lengths = array(integer({ min: 0, max: 20_000 }), { minLength: 1, maxLength: 2 });
const hashings = [loadPairHashing(), ORDINARY_HASHING];

test.each(hashings)('the hashes of a thread are those of its messages, many at a time', async (hashing) => {
  await assert(
    asyncProperty(array(lengths, { minLength: 1, maxLength: 8 }), async (calls) => {
      const messages = calls.map((each) => each.map((lengthBytes) => randomBytes(lengthBytes)));
      const hashes = await Promise.all(messages.map((each) => hashing.sha256InThread(each)));
      const hex = hashes.map((each) => each.map((digest) => digest.toString('hex')));
      expect(hex).toEqual(messages.map((each) => hexEach(...each.map((bytes) => [bytes]))));
    }),
  );
});

test.each(hashings)('while a thread hashes, this one goes on', async ({ sha256InThread }) => {
  const message = randomBytes(32 * 1024 * 1024);
  let isDone = false;
  const hashing = sha256InThread([message]).finally(() => {
    isDone = true;
  });
  await new Promise(setImmediate);
  expect(isDone).toBe(false);
  const [digest] = await hashing;
  expect(digest?.toString('hex')).toBe(hash('sha256', message, 'hex'));
});
