import {
  closeSync,
  constants,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  statfsSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { noise } from '../../../test/helpers/sample-bytes.ts';
import { MIB } from '../../core/sizes.ts';
import { AsyncWrites } from './async-writes.ts';

/** EXT4_SUPER_MAGIC of linux/magic.h. */
const EXT4_MAGIC = 0xef53;

let directory = '';
let path = '';
beforeEach(() => {
  // On a disk: a file system in memory may not know O_DIRECT.
  directory = mkdtempSync(join(tmpdir(), 'drivebay-async-'));
  path = join(directory, 'file');
  writeFileSync(path, '');
  truncateSync(path, 24 * MIB);
});
afterEach(() => rmSync(directory, { recursive: true }));

/** Memory that begins on a page, as that of WebAssembly does, with bytes that tell its parts apart. */
function piece(lengthBytes: number): Buffer {
  const pages = Math.ceil(lengthBytes / 65_536);
  const memory = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true }).buffer;
  const bytes = Buffer.from(memory, 0, lengthBytes);
  noise('async', lengthBytes).copy(bytes);
  return bytes;
}

test.each([
  ['what is less than one part', 4096],
  ['parts and a rest', 2 * MIB + 4096],
  ['more parts than may be under way at a time', 20 * MIB],
])('all of it is in the file when the call returns: %s', (_what, lengthBytes) => {
  const fd = openSync(path, constants.O_WRONLY + constants.O_DIRECT);
  const from = piece(lengthBytes);
  expect(new AsyncWrites().write({ fd, offsetBytes: 8192, from })).toEqual([]);
  const end = 8192 + lengthBytes;
  expect(readFileSync(path).subarray(8192, end).equals(from)).toBe(true);
  closeSync(fd);
});

test('what the system refuses to begin is left to be written in another way', () => {
  const fd = openSync(path, 'r');
  const from = piece(MIB);
  const left = new AsyncWrites().write({ fd, offsetBytes: 0, from });
  expect(left.map(({ offsetBytes }) => offsetBytes)).toEqual([0, MIB / 2]);
  closeSync(fd);
});

test('an error is thrown once nothing is under way any more', (context) => {
  // Nothing else at hand fails a write that has begun: elsewhere such an offset may be written to.
  const isExt4 = statfsSync(directory).type === EXT4_MAGIC;
  context.skip(!isExt4, 'only ext4 is known to refuse an offset of 4 EiB');
  const fd = openSync(path, constants.O_WRONLY + constants.O_DIRECT);
  const writes = new AsyncWrites();
  const from = piece(MIB);
  expect(() => writes.write({ fd, offsetBytes: 2 ** 62, from })).toThrow('EFBIG');
  // Nothing of the first call is answered to the next one.
  expect(writes.write({ fd, offsetBytes: 0, from })).toEqual([]);
  closeSync(fd);
});
