import { randomBytes } from 'node:crypto';
import { mkdtemp, open, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { alignedBuffers } from './block-workers.ts';
import { DirectFile } from './direct-file.ts';

const SIZE_BYTES = 256 * 1024;
let directory: string;
let path: string;

beforeEach(async () => {
  // Beside the sources and not in memory, where a file system may know no direct writes.
  directory = await mkdtemp(join(process.cwd(), '.bench-direct-'));
  path = join(directory, 'file');
  await writeFile(path, Buffer.alloc(SIZE_BYTES, 'old'));
});

afterEach(async () => {
  await rm(directory, { recursive: true });
});

function alignedNoise(lengthBytes: number): Buffer {
  const [buffer = Buffer.alloc(0)] = alignedBuffers(1);
  randomBytes(lengthBytes).copy(buffer);
  return buffer.subarray(0, lengthBytes);
}

test('a piece that begins and ends on a page is written, and what is beside it stays', async () => {
  const direct = await DirectFile.open(path);
  const piece = alignedNoise(128 * 1024);
  const expected = await readFile(path);
  piece.copy(expected, 64 * 1024);
  if (!(await direct.write(64 * 1024, piece))) await writeOrdinarily(64 * 1024, piece);
  expect((await readFile(path)).equals(expected)).toBe(true);
  await direct.close();
});

test.each([
  ['an offset within a page', 512, 4096, 0],
  ['a length that is no multiple of a page', 4096, 5000, 0],
  ['memory that begins within a page', 4096, 4096, 8],
])('%s is refused and nothing is written', async (_title, offsetBytes, lengthBytes, startBytes) => {
  const direct = await DirectFile.open(path);
  const before = await readFile(path);
  const piece = alignedNoise(startBytes + lengthBytes).subarray(startBytes);
  expect(await direct.write(offsetBytes, piece)).toBe(false);
  expect((await readFile(path)).equals(before)).toBe(true);
  await direct.close();
});

test('a file that cannot be opened so writes nothing', async () => {
  const direct = await DirectFile.open(join(tmpdir(), 'no', 'such', 'file'));
  expect(await direct.write(0, alignedNoise(4096))).toBe(false);
  await direct.close();
});

async function writeOrdinarily(offsetBytes: number, bytes: Buffer): Promise<void> {
  await using handle = await open(path, 'r+');
  await handle.write(bytes, 0, bytes.length, offsetBytes);
}
