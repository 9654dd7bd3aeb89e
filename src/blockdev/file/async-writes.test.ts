import {
  closeSync,
  constants,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { MIB } from '../../core/sizes.ts';
import { AsyncWrites } from './async-writes.ts';

const PIECE_BYTES = MIB / 2;
let directory = '';
let path = '';
beforeEach(() => {
  // On a disk: a file system in memory may not know O_DIRECT.
  directory = mkdtempSync(join(tmpdir(), 'drivebay-async-'));
  path = join(directory, 'file');
  writeFileSync(path, '');
  truncateSync(path, 16 * MIB);
});
afterEach(() => rmSync(directory, { recursive: true }));

function pieces(count: number): Buffer[] {
  // The memory of WebAssembly begins on a page.
  const pages = (count * PIECE_BYTES) / 65_536;
  const memory = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true }).buffer;
  return Array.from({ length: count }, (_, index) =>
    Buffer.from(memory, index * PIECE_BYTES, PIECE_BYTES).fill(index + 1),
  );
}

test('everything that was begun is in the file once it has been settled', () => {
  const fd = openSync(path, constants.O_WRONLY + constants.O_DIRECT);
  const writes = new AsyncWrites();
  const all = pieces(8);
  for (const [index, from] of all.entries()) {
    expect(writes.begin({ fd, offsetBytes: index * PIECE_BYTES, from })).toBe(true);
  }
  expect(writes.settle()).toEqual([]);
  expect(
    readFileSync(path)
      .subarray(0, 8 * PIECE_BYTES)
      .equals(Buffer.concat(all)),
  ).toBe(true);
  closeSync(fd);
});

test('what the system refuses to begin must be written in another way', () => {
  const fd = openSync(path, 'r');
  const [from = Buffer.alloc(0)] = pieces(1);
  const writes = new AsyncWrites();
  expect(writes.begin({ fd, offsetBytes: 0, from })).toBe(false);
  expect(writes.settle()).toEqual([]);
  closeSync(fd);
});

test('more than may be under way at a time is refused, and settled like the rest afterwards', () => {
  const fd = openSync(path, constants.O_WRONLY + constants.O_DIRECT);
  const writes = new AsyncWrites();
  const begun = pieces(20).filter((from, index) =>
    writes.begin({ fd, offsetBytes: index * PIECE_BYTES, from }),
  );
  expect(begun).toHaveLength(16);
  expect(writes.settle()).toEqual([]);
  closeSync(fd);
});
