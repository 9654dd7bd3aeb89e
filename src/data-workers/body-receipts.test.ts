import { expect, test } from 'vitest';
import { BodyReceipts } from './body-receipts.ts';

const SEGMENTS = [
  { address: 0, lengthBytes: 600 },
  { address: 4096, lengthBytes: 400 },
];

test.each([
  ['that is whole', { filledBytes: 100, receivedBytes: 900 }, true],
  ['that lacks a byte', { filledBytes: 100, receivedBytes: 899 }, false],
  ['of which nothing came', { filledBytes: 0, receivedBytes: 0 }, false],
])(
  'a body %s is gone on with only when it is whole',
  async (_what, { filledBytes, receivedBytes }, isWhole) => {
    const receipts = new BodyReceipts();
    const part = { receivedBytes, encryptedBytes: 512 };
    const receiving = { receiptId: 1, segments: SEGMENTS, filledBytes };
    expect(await receipts.keep(receiving, Promise.resolve(part))).toBe(part);
    expect(await receipts.whole(1)).toBe(isWhole ? part : null);
  },
);

test('a body whose receipt fails is told to whoever receives it, and not gone on with', async () => {
  const receipts = new BodyReceipts();
  const failing = Promise.reject(new Error('EMFILE'));
  const kept = receipts.keep({ receiptId: 1, segments: SEGMENTS, filledBytes: 0 }, failing);
  await expect(kept).rejects.toThrow('EMFILE');
  expect(await receipts.whole(1)).toBeNull();
});

test('a body is gone on with once, and only if that was asked for', async () => {
  const receipts = new BodyReceipts();
  const part = Promise.resolve({ receivedBytes: 1000, encryptedBytes: 0 });
  await receipts.keep({ receiptId: null, segments: SEGMENTS, filledBytes: 0 }, part);
  await receipts.keep({ receiptId: 7, segments: SEGMENTS, filledBytes: 0 }, part);
  expect(await receipts.whole(7)).not.toBeNull();
  await expect(receipts.whole(7)).rejects.toThrow('Nobody has asked');
});
