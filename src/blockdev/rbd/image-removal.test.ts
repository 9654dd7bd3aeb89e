import { beforeEach, expect, test } from 'vitest';
import { systemError } from '../system-error.ts';
import { removeImage } from './image-removal.ts';
import type { RemovalCalls } from './image-removal.ts';

const NAME = 'drivebay-ab0b0c0d-1111-4222-8333-444455556666';

let done: string[];
/** What fails, and with which code. */
let failures: Record<string, string>;

beforeEach(() => {
  done = [];
  failures = {};
});

function take(call: string): void {
  done.push(call);
  const code = failures[call];
  if (code !== undefined) throw systemError(code, call);
}

function calls(): RemovalCalls {
  const parts = {
    librbd: {
      open: () => {
        take('open');
        return 7;
      },
      close: () => take('close'),
      remove: () => take('remove'),
    },
    snapshots: { list: () => [`${NAME}.0123456789ab`, 'of the operator'], remove: () => take('drop') },
    trash: { idOf: () => 'id', put: () => take('put') },
  };
  return parts as unknown as RemovalCalls;
}

test('an image goes to the trash without the snapshots that clones have left', () => {
  expect(removeImage(calls(), 1, NAME)).toBe('id');
  expect(done).toEqual(['open', 'drop', 'put', 'close']);
});

test('one that another node has just put there is swept all the same, and closed whatever fails', () => {
  failures = { put: 'ENOENT' };
  expect(removeImage(calls(), 1, NAME)).toBe('id');
  failures = { put: 'EBUSY' };
  expect(() => removeImage(calls(), 1, NAME)).toThrow('put');
  expect(done.filter((call) => call === 'close')).toHaveLength(2);
});

test('what a create has left half made is removed, and nothing happens where there is nothing', () => {
  failures = { open: 'ENOENT' };
  expect(removeImage(calls(), 1, NAME)).toBeNull();
  failures = { open: 'ENOENT', remove: 'ENOENT' };
  expect(removeImage(calls(), 1, NAME)).toBeNull();
  expect(done).toEqual(['open', 'remove', 'open', 'remove']);
  failures = { open: 'ENOENT', remove: 'EBUSY' };
  expect(() => removeImage(calls(), 1, NAME)).toThrow('remove');
  failures = { open: 'EIO' };
  expect(() => removeImage(calls(), 1, NAME)).toThrow('open');
});
