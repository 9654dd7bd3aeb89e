import { execFileSync } from 'node:child_process';
import { statfsSync } from 'node:fs';
import { mkdir, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { noise } from '../helpers/sample-bytes.ts';
import { scratchDirectory, startServer } from '../helpers/server-process.ts';
import type { ServerProcess } from '../helpers/server-process.ts';

const MIB = 1024 * 1024;

let scratch: string;
let directory: string;
let server: ServerProcess;

/** Starts a server whose one pool is a new file system of its own on a loop device. */
async function startOn(makeFileSystem: readonly [string, ...string[]], sizeMib: number): Promise<void> {
  if (process.getuid?.() !== 0) throw new Error('These tests mount small file systems: run them as root.');
  const image = join(scratch, 'image');
  await writeFile(image, '');
  await truncate(image, sizeMib * MIB);
  const [program, ...args] = makeFileSystem;
  execFileSync(program, [...args, image], { stdio: 'ignore' });
  execFileSync('mount', ['-o', 'loop', image, directory]);
  const config = `pools:\n  - {name: small, directory: ${directory}, reserve: 4M}\n`;
  server = await startServer({ dataDirectory: join(scratch, 'data'), config });
}

const freeBytes = (): number => {
  execFileSync('sync', ['-f', directory]);
  const { bavail, bsize } = statfsSync(directory);
  return bavail * bsize;
};

beforeEach(async () => {
  scratch = await scratchDirectory();
  directory = join(scratch, 'mounted');
  await mkdir(directory);
});

afterEach(async () => {
  await server.stop();
  execFileSync('umount', [directory]);
  await rm(scratch, { recursive: true, force: true });
});

async function untilImaged(drive: string): Promise<void> {
  await expect
    .poll(async () => Object.keys(await server.info(drive)), { timeout: 60_000, interval: 20 })
    .not.toContain('imaging');
  expect(await server.info(drive)).not.toHaveProperty('imaging:error');
}

describe('a pool on XFS', () => {
  test('copies a drive by sharing its blocks, and each of the two is then written on its own', async () => {
    await startOn(['mkfs.xfs', '-q', '-m', 'reflink=1'], 400);
    const sizeBytes = 64 * MIB;
    const content = noise('shared', sizeBytes);
    const plain = 'size 64M\nencryption:cipher none';
    const [source, target] = [await server.create(plain), await server.create(plain)];
    expect((await server.write(source, content)).status).toBe(204);
    const beforeBytes = freeBytes();
    expect((await server.post(`/drives/${target}/image/${source}`)).status).toBe(204);
    await untilImaged(target);
    expect(beforeBytes - freeBytes()).toBeLessThan(sizeBytes / 8);
    expect((await server.read(target, 0, sizeBytes)).equals(content)).toBe(true);

    const change = noise('changed', 2 * MIB);
    expect((await server.write(`${target}/3M`, change)).status).toBe(204);
    expect((await server.write(`${source}/40M`, change)).status).toBe(204);
    const changed = (at: number): Buffer => {
      const bytes = Buffer.from(content);
      change.copy(bytes, at);
      return bytes;
    };
    expect((await server.read(target, 0, sizeBytes)).equals(changed(3 * MIB))).toBe(true);
    expect((await server.read(source, 0, sizeBytes)).equals(changed(40 * MIB))).toBe(true);
  });
});

describe('a pool on ext4', () => {
  test.each(['none', 'aes-xts-plain'])(
    'that is filled from outside refuses a write as a whole, and takes it once there is room (cipher %s)',
    async (cipher) => {
      await startOn(['mkfs.ext4', '-q', '-m', '0'], 96);
      const drive = await server.create(`size 48M\nencryption:cipher ${cipher}`);
      const before = noise('before', 8 * MIB);
      expect((await server.write(drive, before)).status).toBe(204);
      const filler = join(directory, 'filler');
      // What the server last saw of the room is no longer so: only the file system itself can refuse.
      execFileSync('fallocate', ['-l', String(freeBytes() - 2 * MIB), filler]);
      for (const [offset, sizeBytes] of [
        [4 * MIB, 16 * MIB],
        [10 * MIB, 6 * MIB + 77],
      ] as const) {
        const answer = await server.write(`${drive}/${offset}`, noise('too much', sizeBytes));
        expect(answer.status).toBe(507);
        expect(answer.headers['x-elastic-error']).toMatch(/^full\b/);
      }
      const read = await server.read(drive, 0, 48 * MIB);
      expect(read.subarray(0, before.length).equals(before)).toBe(true);
      expect(read.subarray(before.length).every((byte) => byte === 0)).toBe(true);
      const inPlace = noise('in place', 4 * MIB);
      expect((await server.write(`${drive}/1M`, inPlace)).status).toBe(204);
      await rm(filler);
      const after = noise('too much', 16 * MIB);
      expect((await server.write(`${drive}/4M`, after)).status).toBe(204);
      expect((await server.read(drive, 4 * MIB, after.length)).equals(after)).toBe(true);
      expect((await server.read(drive, MIB, 3 * MIB)).equals(inPlace.subarray(0, 3 * MIB))).toBe(true);
    },
  );
});
