import { expect, test } from 'vitest';
import { REPLY_ROOM_BYTES } from './io-buffers.ts';
import { RequestMemory } from './request-memory.ts';

test('a buffer that was given back is lent again, for about the same size only', () => {
  const memory = new RequestMemory();
  const first = memory.borrow(5000);
  expect(first.lengthBytes).toBe(8192 + REPLY_ROOM_BYTES);
  memory.giveBack(first);
  expect(memory.borrow(100).lengthBytes).toBe(4096 + REPLY_ROOM_BYTES);
  expect(memory.borrow(8192)).toBe(first);
  expect(memory.borrow(8192)).not.toBe(first);
});

test('large ones are not kept', () => {
  const memory = new RequestMemory();
  const large = memory.borrow(5_000_001);
  expect(large.lengthBytes).toBe(5_000_001 + REPLY_ROOM_BYTES);
  memory.giveBack(large);
  expect(memory.borrow(5_000_001)).not.toBe(large);
});
