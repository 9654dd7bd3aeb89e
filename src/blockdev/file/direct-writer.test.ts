import { closeSync, mkdtempSync, openSync, readFileSync, readdirSync, readlinkSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { noise } from '../../../test/helpers/sample-bytes.ts';
import { AsyncWrites } from './async-writes.ts';
import { DirectWriter } from './direct-writer.ts';

const MIB = 1024 * 1024;

let directory: string;
let path: string;
let fd: number;
let writer: DirectWriter;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'drivebay-direct-'));
  path = join(directory, 'file');
  fd = openSync(path, 'w+');
  writer = new DirectWriter(fd, new AsyncWrites());
});

afterEach(() => {
  writer.close();
  closeSync(fd);
  rmSync(directory, { recursive: true });
});

/** Memory on a boundary of pages, as the arena is. */
function pages(content: Buffer): Uint8Array {
  const size = Math.ceil(content.byteLength / 65_536);
  const { buffer } = new WebAssembly.Memory({ initial: size, maximum: size, shared: true });
  const bytes = new Uint8Array(buffer, 0, content.byteLength);
  bytes.set(content);
  return bytes;
}

/** How many descriptors of this process are of the file. */
function openDescriptors(): number {
  const names = readdirSync('/proc/self/fd').map((name) => {
    try {
      return readlinkSync(`/proc/self/fd/${name}`);
    } catch {
      return null;
    }
  });
  return names.filter((name) => name === path).length;
}

test('a large aligned piece is written past the page cache, and read by all', () => {
  const content = noise('direct', 2 * MIB);
  expect(writer.write(MIB, pages(content))).toBe(true);
  expect(readFileSync(path).subarray(MIB).equals(content)).toBe(true);
  expect(openDescriptors()).toBe(2);
  writer.close();
  expect(openDescriptors()).toBe(1);
});

test.each([
  ['a piece that is small', 0, MIB - 4096],
  ['an offset that is not aligned', 512, MIB],
  ['a length that is not aligned', 0, MIB + 512],
])('%s is left to be written the ordinary way', (_what, offsetBytes, lengthBytes) => {
  expect(writer.write(offsetBytes, pages(Buffer.alloc(lengthBytes, 1)))).toBe(false);
  expect(readFileSync(path)).toHaveLength(0);
});

test('memory that is not aligned is left to be written the ordinary way', () => {
  expect(writer.write(0, pages(Buffer.alloc(MIB + 4096, 1)).subarray(16, MIB + 16))).toBe(false);
});

test('nothing is opened after the end', () => {
  writer.close();
  expect(writer.write(0, pages(Buffer.alloc(MIB, 1)))).toBe(false);
  expect(openDescriptors()).toBe(1);
});
