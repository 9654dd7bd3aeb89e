import { beforeEach, expect, test } from 'vitest';
import { NO_DIGEST } from '../core/body-digest.ts';
import { createArena, PIECE_BYTES } from './arena.ts';
import type { DataThreadClient } from './data-thread-client.ts';
import { writeFromSocket } from './direct-write.ts';
import { createPieceLender } from './piece-lender.ts';
import type { DirectWrite, SocketInput } from './volumes.ts';

const PIECES = 4;
const LENGTH = PIECE_BYTES + 512;
const WRITTEN = { writtenBytes: LENGTH, isDurable: true };

/** What was asked of the thread and told to others, in order. */
let calls: string[];
/** What the thread answers. */
let receivedBytes: number;
let isRoomKnown: boolean;
let writing: PromiseWithResolvers<typeof WRITTEN | null>;
let write: DirectWrite;

const arena = createArena((PIECES + 1) * PIECE_BYTES);
const lender = createPieceLender(arena, PIECES * PIECE_BYTES);

const thread = {
  call(op: string, request: { receiptId: number }) {
    calls.push(`${op} ${request.receiptId}`);
    return op === 'receive' ? Promise.resolve({ receivedBytes, encryptedBytes: 0 }) : writing.promise;
  },
} as unknown as DataThreadClient;

beforeEach(() => {
  calls = [];
  receivedBytes = LENGTH;
  isRoomKnown = true;
  writing = Promise.withResolvers();
  const socket: SocketInput = {
    descriptor: 5,
    received: Buffer.alloc(0),
    giveBack: (bytes) => void calls.push(`give back ${bytes}`),
  };
  const body = {
    lengthBytes: LENGTH,
    async *chunks() {},
    takeSocket() {
      calls.push('take socket');
      return socket;
    },
  };
  const onReceived = (): void => void calls.push('received');
  write = { life: 0, offsetBytes: 0, encoding: 'identity', digest: NO_DIGEST, body, onReceived };
});

function run(change: Partial<DirectWrite> = {}) {
  return writeFromSocket(
    { ...write, ...change },
    {
      receiptId: 3,
      volumeName: 'volume',
      lender,
      memory: arena.memory,
      encryption: null,
      admit: () => (isRoomKnown ? (bytes) => void calls.push(`admission over ${bytes}`) : null),
      thread,
      withOwnDescriptor: (_descriptor, work) => work(6),
    },
  );
}

/** Throws unless all the memory is there again. */
function expectGivenBack(): void {
  const loan = lender.borrowNow(PIECES);
  expect(loan).not.toBeNull();
  loan?.release();
}

async function settle(): Promise<void> {
  for (let turn = 0; turn < 50; turn += 1) await Promise.resolve();
}

const RECEIVED = ['take socket', 'receive 3', 'writeReceived 3', `give back ${LENGTH}`, 'received'];

test('the thread is asked to receive and to write at once, and the socket is given back before it has written', async () => {
  const outcome = run();
  await settle();
  expect(calls).toEqual(RECEIVED);
  expect(lender.borrowNow(PIECES)).toBeNull();
  writing.resolve(WRITTEN);
  expect(await outcome).toBe(WRITTEN);
  expect(calls).toEqual([...RECEIVED, `admission over ${LENGTH}`]);
  await settle();
  expectGivenBack();
});

test('a body that stops comes back with its memory, unwritten', async () => {
  receivedBytes = PIECE_BYTES;
  writing.resolve(null);
  const begun = await run();
  if (begun === null || !('release' in begun)) throw new Error('Nothing came back.');
  expect(begun.receivedBytes).toBe(PIECE_BYTES);
  expect(calls.slice(3)).toEqual([`give back ${PIECE_BYTES}`, 'admission over 0']);
  expect(lender.borrowNow(PIECES)).toBeNull();
  begun.release();
  await settle();
  expectGivenBack();
});

test('a write that fails has its memory given back', async () => {
  writing.reject(new Error('EIO'));
  await expect(run()).rejects.toThrow('EIO');
  expect(calls.at(-1)).toBe('admission over 0');
  await settle();
  expectGivenBack();
});

test('what goes wrong here does not take the memory from a thread that writes it still', async () => {
  const socket: SocketInput = {
    descriptor: 5,
    received: Buffer.alloc(0),
    giveBack() {
      throw new Error('no socket');
    },
  };
  await expect(run({ body: { ...write.body, takeSocket: () => socket } })).rejects.toThrow('no socket');
  await settle();
  expect(lender.borrowNow(PIECES)).toBeNull();
  writing.resolve(WRITTEN);
  await settle();
  expectGivenBack();
});

test.each<[string, Partial<DirectWrite>]>([
  ['has to be unpacked', { encoding: 'gzip' }],
  ['has a SHA-256', { digest: { sha256: Buffer.alloc(32), gmac: Buffer.alloc(16) } }],
])('a body that %s is left alone', async (_what, change) => {
  expect(await run(change)).toBeNull();
  expect(calls).toEqual([]);
});

test('a body that has a GMAC is written at once, like one that has no digest', async () => {
  writing.resolve(WRITTEN);
  expect(await run({ digest: { sha256: null, gmac: Buffer.alloc(16) } })).toBe(WRITTEN);
});

test('a small body is left alone', async () => {
  expect(await run({ body: { ...write.body, lengthBytes: 65_535 } })).toBeNull();
  expect(calls).toEqual([]);
});

test('a pool whose room has to be looked at is not waited for', async () => {
  isRoomKnown = false;
  expect(await run()).toBeNull();
  expect(calls).toEqual([]);
});

test('memory that others have is not waited for', async () => {
  const loan = await lender.borrow(PIECES - 1);
  expect(await run()).toBeNull();
  expect(calls).toEqual(['admission over 0']);
  loan.release();
  expectGivenBack();
});
